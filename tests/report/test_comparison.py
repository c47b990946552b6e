"""Reports that compare methods: words, costs, collapse; and nothing new where none are compared."""

from __future__ import annotations

from synthetic_report import RECIPE, results, row

from winnow.report import csvfile, figures
from winnow.report.caveats import caveats
from winnow.report.table import as_html, as_text, query
from winnow.report.verdict import verdict

COMPARING = {**RECIPE, "compare": {"methods": [{"name": "imp"}, {"name": "random"}]}}
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
    return results(rows, recipe=COMPARING, **changes)


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
    table = query(compared())
    lines = as_text(table).splitlines()
    assert "cost in epochs" in lines[0]
    assert len(lines) == 1 + 1 + 6
    assert sum(" 4.2 " in line for line in lines if " snip " in line) == 2
    assert as_html(table).count("<tr>") == len(lines)
    plain = query(results([row(), row(round=1, density=0.5)]))
    assert "cost" not in as_text(plain) + as_html(plain)


def test_one_figure_with_a_line_for_each_method():
    (drawing,) = figures.draw(compared())
    assert drawing.name == "accuracy-at-stop"


def test_lost_layers_are_told():
    lost = row(arm="mlprune", round=1, density=0.02, cost=9.0, collapsed=("hidden.1.weight",))
    (said,) = [s for s in caveats(results([lost], recipe=COMPARING)) if "layer collapse" in s]
    assert "mlprune in 1 run, from 2.0 % down (hidden.1.weight)" in said
    text = csvfile.as_csv([results([lost])]).splitlines()
    assert text[0].endswith("cost,collapsed")
    assert text[1].endswith("9.0,hidden.1.weight")
    assert "cost" not in csvfile.as_csv([results([row()])])


def test_one_replicate_gives_no_verdict():
    one = [r for r in compared().rows if r.replicate == 0]
    random, _ = verdict(results(one, recipe=COMPARING))
    assert len(random.sentences) == 1
    assert random.sentences[0].startswith("One replicate: no intervals")
