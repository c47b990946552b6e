"""Reports that compare methods: words, costs, collapse; and nothing new where none are compared."""

from __future__ import annotations

from synthetic_report import RECIPE, control, method, results, row

from winnow.experiment.arms import TICKET
from winnow.report import csvfile, figures
from winnow.report.caveats import caveats
from winnow.report.density_table import by_density, table_html, table_text
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
    assert table_html(table).count("<tr>") == len(lines)
    plain = by_density(results([row(), row(round=1, density=0.5)]))
    assert "cost" not in table_text(plain) + table_html(plain)


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
