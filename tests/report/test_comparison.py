"""Reports that compare methods: words, costs, collapse; and nothing new where none are compared."""

from __future__ import annotations

import dataclasses

from synthetic_report import RECIPE, control, method, results, row

from winnow.experiment.arms import TICKET
from winnow.report import csvfile, figures
from winnow.report.caveats import caveats
from winnow.report.density_table import by_density, table_text
from winnow.report.results import compared_arms, control_arms
from winnow.report.verdict import verdict

COMPARING = {**RECIPE, "compare": {}}
IMP, RANDOM, SNIP = method("imp", kind="iterative"), method("random"), method("snip")
ARMS = (TICKET, IMP, RANDOM, SNIP)
ACCURACY = {  # arm -> round -> replicate
    "random": [[0.90, 0.91, 0.92], [0.50, 0.52, 0.51]],
    "imp": [[0.90, 0.912, 0.919], [0.90, 0.93, 0.91]],
    "snip": [[0.80, 0.81, 0.822], [0.70, 0.73, 0.71]],
}
COSTS = {"random": 4.0, "imp": 8.0, "snip": 4.25}


def compared(**changes):
    rows = [row(replicate=k, stop_test_accuracy=0.93 + k / 1000, cost=4.0) for k in range(3)]
    for arm, rounds in ACCURACY.items():
        for index, values in enumerate(rounds, 1):
            density = (0.5, 0.1)[index - 1]
            rows += [
                row(arm=arm, replicate=k, round=index, density=density,
                    stop_test_accuracy=value, cost=COSTS[arm])
                for k, value in enumerate(values)
            ]  # fmt: skip
    return results(rows, **{"recipe": COMPARING, "arms": ARMS, **changes})


def test_each_method_is_compared_with_random_and_with_imp():
    random, imp = verdict(compared())
    assert random.heading == "Methods against random: paired 95 % intervals"
    found = ("imp: better at 10.0 %.", "snip: better at 10.0 %; worse at 50.0 %.")
    assert random.sentences[1:] == found
    flat = "snip: worse at 50.0 %; no interval at 10.0 %, as all replicates agree."
    assert imp.sentences[1:] == ("random: worse at 10.0 %.", flat)
    lines = random.numbers[1:]
    assert len(lines) == 4
    mean = next(x for x in lines if x[:2] == ("imp", "10.00"))[5]
    assert mean.startswith("+40.33 [")
    assert "corrected for the densities" in random.sentences[0]


def test_the_table_has_a_column_of_costs_and_stands_in_lines():
    table = by_density(compared())
    lines = table_text(table).splitlines()
    assert "cost in epochs" in lines[0]
    assert len(lines) == 1 + 1 + 6
    assert table.arms == ("ticket", "imp", "random", "snip")
    assert sum(" 4.2 " in line for line in lines if " snip " in line) == 2
    plain = by_density(results([row(), row(round=1, density=0.5)]))
    assert "cost" not in table_text(plain)


def test_one_figure_with_a_line_for_each_method():
    (drawing,) = figures.draw_figures(compared())
    assert drawing.name == "accuracy-at-stop"


def test_lost_layers_are_told():
    lost = row(arm="mlprune", round=1, density=0.02, cost=9.0, collapsed=("hidden.1.weight",))
    arms = (TICKET, method("mlprune", kind="fine-tuned"))
    (said,) = [s for s in caveats(results([lost], arms=arms)) if "layer collapse" in s]
    assert "mlprune in 1 run, from 2.0 % down (hidden.1.weight)" in said
    text = csvfile.as_csv([results([lost], arms=arms)]).splitlines()
    assert text[0].endswith("cost,collapsed")
    assert text[1].endswith("9.0,hidden.1.weight")
    assert "cost" not in csvfile.as_csv([results([row()])])


def test_the_order_of_arms_holds_in_statements_tables_and_rows():
    made = compared(arms=(TICKET, SNIP, RANDOM, IMP))
    random, imp = verdict(made)
    assert list(dict.fromkeys(line[0] for line in random.numbers[1:])) == ["snip", "imp"]
    assert list(dict.fromkeys(line[0] for line in imp.numbers[1:])) == ["snip", "random"]
    assert [line.split()[4] for line in table_text(by_density(made)).splitlines()[2:5]] == [
        "snip", "random", "imp"
    ]  # fmt: skip
    rows = csvfile.as_csv([made]).splitlines()[1:]
    arms = [line.split(",")[1] for line in rows if line.split(",")[2] == "0"]
    assert list(dict.fromkeys(arms)) == ["ticket", "snip", "random", "imp"]


def test_one_replicate_gives_no_verdict():
    one = [r for r in compared().rows if r.replicate == 0]
    random, _ = verdict(results(one, recipe=COMPARING, arms=ARMS))
    assert len(random.sentences) == 1
    assert random.sentences[0].startswith("One replicate: no intervals")


def test_controls_are_compared_with_their_methods_alone():
    arms = (TICKET, SNIP, control(SNIP, "inverted"), control(SNIP, "shuffled"), IMP, RANDOM)
    rows = [row(replicate=k, stop_test_accuracy=0.93 + k / 1000, cost=4.0) for k in range(3)]
    values = {**ACCURACY, "snip-shuffled": ACCURACY["random"], "snip-inverted": ACCURACY["snip"]}
    for arm, rounds in values.items():
        for index, accuracies in enumerate(rounds, 1):
            rows += [
                row(arm=arm, replicate=k, round=index, density=(0.5, 0.1)[index - 1],
                    stop_test_accuracy=value, cost=4.0)
                for k, value in enumerate(accuracies)
            ]  # fmt: skip
    made = results(rows, recipe=COMPARING, arms=arms)
    assert [arm.name for arm in compared_arms(made)] == ["snip", "imp", "random"]
    assert [arm.name for arm in control_arms(made)] == ["snip-inverted", "snip-shuffled"]
    *others, controls = verdict(made)
    assert [one.heading.split(":")[0] for one in others] == [
        "Methods against random",
        "Methods against imp",
    ]
    assert not any("snip-" in sentence for one in others for sentence in one.sentences)
    assert controls.heading == "Controls against their methods: paired 95 % intervals"
    assert controls.sentences[1:] == (
        "snip-inverted: not distinguishable at any density.",
        "snip-shuffled: better at 50.0 %; worse at 10.0 %.",
    )
    one, two = (line for line in controls.numbers[1:] if line[0] == "snip-shuffled")
    assert (one[1], one[4], two[4]) == ("50.00", "81.07", "71.33")
    overview, panels = figures.draw_figures(made)
    assert (overview.name, panels.name) == ("accuracy-at-stop", "controls")
    assert "shuffled within each layer" in panels.caption
    only = results([r for r in rows if r.arm != "snip"], recipe=COMPARING, arms=arms)
    assert verdict(only)[-1].sentences == ("Nothing to compare controls with is finished yet.",)
    assert [drawing.name for drawing in figures.draw_figures(only)] == [
        "accuracy-at-stop",
        "controls",
    ]


def test_lost_layers_are_told_of_tickets_too():
    lost = row(round=1, density=0.02, collapsed=("output.weight",))
    assert any("layer collapse" in said for said in caveats(results([lost])))
    assert csvfile.as_csv([results([lost])]).splitlines()[0].endswith(",collapsed")
    assert "cost" not in csvfile.as_csv([results([lost])])


def headings(**changes):
    return [one.heading.split(":")[0] for one in verdict(compared(**changes))]


def test_references_are_methods_whatever_their_arms_are_called():
    """A method called imp is no reference; without either, the first method is."""
    noise, first = method("random", "noise"), method("snip", "imp")
    renamed = {"random": "noise", "imp": "snip", "snip": "imp"}
    rows = [dataclasses.replace(r, arm=renamed.get(r.arm, r.arm)) for r in compared().rows]
    made = results(rows, recipe=COMPARING, arms=(TICKET, first, noise, method("grasp", "snip")))
    assert [one.heading.split(":")[0] for one in verdict(made)] == ["Methods against noise"]
    made = results(rows, recipe=COMPARING, arms=(TICKET, first, method("obd", "noise"), SNIP))
    assert [one.heading.split(":")[0] for one in verdict(made)] == ["Methods against imp"]
    again = (TICKET, method("imp", "snip"), method("random"), method("imp"))
    assert headings(arms=again) == ["Methods against random", "Methods against snip"]


def test_a_method_alone_is_compared_with_dense():
    alone = [r for r in compared().rows if r.arm in ("ticket", "snip")]
    (statement,) = verdict(results(alone, recipe=COMPARING, arms=(TICKET, SNIP)))
    assert statement.heading.startswith("Methods against dense")
    assert [line[4] for line in statement.numbers[1:]] == ["93.10", "93.10"]


def test_nothing_is_finished_yet():
    dense = [r for r in compared().rows if r.arm == "ticket"]
    assert verdict(results(dense, recipe=COMPARING, arms=ARMS)) == ()
    only = [r for r in compared().rows if r.arm != "imp"]
    lost = [row(arm="imp", round=1, density=0.5, status="diverged", diverged_at=3, cost=8.0)]
    random, imp, _ = verdict(results([*only, *lost], recipe=COMPARING, arms=ARMS))
    assert "snip" in random.sentences[1]
    assert imp.sentences == ("Nothing to compare with imp is finished yet.",)
    assert imp.numbers == ()


def against_random(*replicates, densities=(0.5, 0.1)):
    """Accuracies of snip by density, and random at 0.5 and 0.6 and 0.7 there."""
    rows = []
    for index, (density, values) in enumerate(zip(densities, replicates, strict=True), 1):
        for k, value in enumerate(values):
            at = {"round": index, "density": density, "replicate": k, "cost": 1.0}
            rows.append(row(arm="snip", stop_test_accuracy=value, **at))
            rows.append(row(arm="random", stop_test_accuracy=0.5 + k / 10, **at))
    made = results(rows, recipe=COMPARING, arms=(TICKET, SNIP, RANDOM))
    return verdict(made)[0]


def test_every_number_and_word_by_hand():
    """Differences of 0.1, 0.2 and 0.3: t(1 - 0.05 / 4, 2) = 6.205347, so 0.2 ± 0.358266; then
    0.8, 0.81 and 0.82: 0.81 ± 0.035827.
    """
    statement = against_random((0.6, 0.8, 1.0), (1.3, 1.41, 1.52))
    assert statement.sentences == (
        "Differences in test accuracy, paired over 3 replicates; t-intervals corrected for the "
        "densities of one method (Bonferroni), not for the number of methods. Where nothing is "
        "said, the two cannot be told apart.",
        "snip: better at 10.0 %.",
    )
    assert statement.numbers == (
        ("method", "density_total %", "n", "accuracy %", "reference %", "difference in points"),
        ("snip", "50.00", "3", "80.00", "60.00", "+20.00 [-15.83, +55.83]"),
        ("snip", "10.00", "3", "141.00", "60.00", "+81.00 [+77.42, +84.58]"),
    )


def test_fewer_replicates_are_no_agreement():
    statement = against_random((0.6, 0.8), (0.7,))
    assert "paired over up to 2 replicates;" in statement.sentences[0]
    assert statement.sentences[1] == "snip: not distinguishable at any density."
    assert statement.numbers[2][5] == "+20.00 no interval"
    flat = against_random((0.75, 0.85), (0.25, 0.35))
    assert flat.sentences[1] == ("snip: no interval at 50.0, 10.0 %, as all replicates agree.")
    equal = against_random((0.5, 0.6), (0.5, 0.6))
    assert equal.sentences[1] == "snip: not distinguishable at any density."
    one = against_random((0.75,), (0.25,))
    assert one.sentences == (
        "One replicate: no intervals, so nothing can be called better or worse.",
    )
    assert len(one.numbers) == 3
