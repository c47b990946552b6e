"""What stands on the page of one recipe, by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import synthetic_report as made
import yaml
from made_claims import rows as claim_rows
from made_claims import three_rounds, verdict
from made_comparison import made_comparison

from winnow.experiment.run_parts import RunData, RunInit, RunModel
from winnow.report.charts.by_round import by_round
from winnow.report.charts.chart import Chart, ChartAxis, ChartPoint, ChartSeries
from winnow.report.charts.of_runs import charts_of
from winnow.report.figures.drawing import Drawing
from winnow.report.figures.style import DENSE_COLOR, IN_TURN, Look
from winnow.report.page.contents import Contents, as_yaml, contents_of
from winnow.report.page.run_list import run_lists
from winnow.report.page.section import Section
from winnow.report.results import Details, Results, Row, by_line
from winnow.report.statement import Statement

MODEL = RunModel("lenet-300-100", RunInit("glorot-normal", None), None, 1.0, 0.0)
VERSIONS = {"winnow": "1.0", "torch": "2.9", "python": "3.13", "system": "Linux", "machine": "x86"}


def contents(results: Results, charts: Sequence[Chart] | None = None, **fields: Any) -> Contents:
    usual: dict[str, Any] = {"slug": "the-slug", "statements": (), "drawings": {}}
    section = Section(results=results, **{**usual, **fields})
    drawn = charts_of(results, section.slug) if charts is None else charts
    return contents_of(section, drawn, by_round(results), run_lists([results])[0])


def rows() -> list[Row]:
    return [
        made.row(replicate=1, iterations=1000, seconds=3600.0, run="a"),
        made.row(replicate=1, round=1, iterations=20, seconds=1800.0, run="b"),
        made.row(replicate=2, round=1, iterations=3, seconds=360.0, status="diverged", run="c"),
        made.row(replicate=3, round=1, iterations=5, seconds=9e9, status="unreachable", run=""),
    ]


def test_how_much_was_trained() -> None:
    said = "3 runs in 2 replicates, 1,023 training iterations, 1.60 hours of training"
    assert contents(made.results(rows())).size == f"{said}."
    assert contents(made.results(rows(), missing=4)).size == f"{said}; 4 runs missing."
    shared = [*rows(), made.row(replicate=1, round=2, iterations=1000, seconds=3600.0, run="a")]
    assert contents(made.results(shared)).size == f"{said}."


def test_the_recipe_has_its_title_its_source_and_its_scale() -> None:
    recipe = {"title": "A title", "source": "figure 4", "scale": "small"}
    found = contents(made.results([made.row()], recipe=recipe))
    assert (found.title, found.source, found.scale) == ("A title", "figure 4", "small")
    assert found.warnings[0].startswith("Scale small: a shortened experiment")
    plain = contents(made.results([made.row()], recipe={}))
    assert (plain.title, plain.source, plain.scale) == ("lth/made-up", "", "full")
    assert not any("Scale" in said for said in plain.warnings)


def test_warnings_say_what_weakens_the_numbers() -> None:
    found = contents(made.results([made.row()], missing=12, reencoded=True)).warnings
    assert any("12 runs of the plan not done yet" in said for said in found)
    assert "The images are re-encoded copies (JPEG) of the dataset's." in found
    plain = contents(made.results([made.row(replicate=k) for k in range(5)])).warnings
    assert not any("not done yet" in said or "JPEG" in said for said in plain)


def lined(**changes: Any) -> Results:
    lines = {"low": {"train.steps": "1it"}, "high": {"train.steps": "2it"}}
    listed = [
        made.row(line=line, round=number, density=0.5**number, run=f"{line}{number}{replicate}",
                 replicate=replicate, status="diverged" if line == "high" and number else "done")
        for line in lines for number in (0, 1) for replicate in (1, 2)
    ]  # fmt: skip
    return made.results(listed, recipe={**made.RECIPE, "lines": lines}, **changes)


def test_lines_have_parts_a_legend_and_warnings_of_their_own() -> None:
    whole = lined(missing=1)
    inside = tuple(
        Section(f"the-slug-{part.line}", part, (Statement(part.line, ()),), {})
        for part in by_line(whole)
    )
    found = contents(whole, lines=inside)
    assert [(one.slug, one.line) for one in found.parts] == [
        ("the-slug-low", "low"), ("the-slug-high", "high")
    ]  # fmt: skip
    assert [one.statements[0].heading for one in found.parts] == ["low", "high"]
    assert [len(one.tables[0].rows) for one in found.parts] == [2, 2]
    assert [one.name for one in found.lines] == ["low", "high"]
    assert [one.look["color"] for one in found.lines] == [look.color for look in IN_TURN[:2]]
    assert any(said.startswith("high: ") and "diverged" in said for said in found.warnings)
    assert not any(said.startswith("low: ") and "diverged" in said for said in found.warnings)
    assert "1 run of the plan not done yet." in found.warnings


def test_a_recipe_without_lines_is_its_own_part() -> None:
    said = (Statement("A heading", ("First.",)),)
    found = contents(made.results([made.row()]), statements=said)
    (part,) = found.parts
    assert (part.slug, part.line, part.statements) == ("the-slug", "", said)
    assert found.lines == ()


def test_the_legend_has_arms_in_their_order_dense_first() -> None:
    results = made.paper_like(replicates=1, rounds=2)
    found = contents(results)
    assert [one.name for one in found.arms] == ["dense", "ticket", "reinit", "random", "one-shot"]
    assert found.arms[1].look == {"color": "#0072B2", "dash": "1 0", "shape": "circle"}


def test_figures_are_all_charts_but_the_main_one() -> None:
    found = contents(made.paper_like(replicates=1, rounds=2))
    assert found.main is not None
    assert (found.main.key, found.main.title) == ("the-slug-1", "Test accuracy at early stopping")
    assert [one.key for one in found.figures] == ["the-slug-2", "the-slug-3", "the-slug-4"]
    assert all(one.legend == () for one in (found.main, *found.figures))
    empty = contents(made.results([]))
    assert (empty.main, empty.figures, empty.thumbnail) == (None, (), ())


def test_a_chart_whose_looks_are_its_own_has_a_legend() -> None:
    results = made_comparison()
    found = contents(results)
    assert found.main is not None
    assert [one.name for one in found.main.legend] == ["magnitude", "imp", "mine", "random"]
    single = contents(made.results([made.row(), made.row(round=1, density=0.5)]))
    assert single.main is not None
    assert [one.name for one in single.main.legend] == ["ticket"]


def test_bars_are_told_as_the_recipe_draws_them() -> None:
    assert "lowest to the highest single run" in contents(made.results([made.row()])).bars
    recipe = {"report": {"bars": "interval"}}
    assert "95 % t-intervals" in contents(made.results([made.row()], recipe=recipe)).bars


def test_methods_have_a_table_where_they_are_compared() -> None:
    found = contents(made_comparison()).methods
    assert found is not None
    assert [row.arm for row in found.rows] == ["random", "magnitude", "imp", "mine"]
    assert contents(made.results([made.row()])).methods is None


def test_verdicts_are_counted_in_their_order() -> None:
    good = three_rounds([0.9] * 3, [0.91, 0.911, 0.912])
    judged = [
        verdict(made.results([]), id="a"),
        verdict(good, id="b"),
        verdict(good, id="c"),
        verdict(three_rounds([0.91, 0.911, 0.912], [0.9] * 3), id="d"),
    ]
    found = contents(good, judged=judged)
    assert found.verdicts == (("confirmed", 2), ("contradicted", 1), ("not run", 1))
    assert len(found.claims[0].rows) == 4
    assert contents(good).verdicts == contents(good).claims == ()


def test_claims_with_several_comparisons_have_a_table_of_them() -> None:
    arms = {"dense": [[0.9] * 3], "ticket": [[0.91, 0.92, 0.93]] * 3}
    results = made.results(claim_rows(arms))
    spread = verdict(results, id="spread", at={"down_to": 51.2})
    found = contents(results, judged=[verdict(results, id="single"), spread]).comparisons
    ((name, table),) = found
    assert name == "spread"
    assert [row.cells[0] for row in table.rows] == ["80.0", "64.0", "51.2"]


def test_printed_numbers_are_those_of_claims_that_have_one() -> None:
    results = three_rounds([0.9] * 3, [0.91, 0.911, 0.912])
    judged = [verdict(results, id="a"), verdict(results, id="b", number={"mean": 1, "n": 3})]
    assert [one.id for one in contents(results, judged=judged).printed] == ["b"]


def test_files_are_named_with_their_captions() -> None:
    drawings = {"the-slug-one": Drawing("one", "A caption.", b"png", b"<svg/>")}
    found = contents(made.results([made.row()]), drawings=drawings)
    assert found.files == (("the-slug-one", "A caption."),)


# ---- provenance and recipe


def details(**changes: Any) -> Details:
    fields: dict[str, Any] = {
        "id": "1", "engine": "dense", "seeds": {}, "versions": VERSIONS, "model": MODEL,
        "data": RunData("mnist", "abc", 5000, "none"), "kept": {},
    }  # fmt: skip
    return Details(**{**fields, **changes})


def provenance(about: Mapping[str, Details]) -> dict[str, str]:
    listed = [made.row(replicate=k, run=run) for k, run in enumerate(about)]
    listed.append(made.row(round=1, replicate=0, run=next(iter(about), "none")))
    found = contents(made.results(listed, details=about)).provenance
    assert len(dict(found)) == len(found)
    return dict(found)


def test_provenance_counts_each_run_once_and_names_every_version() -> None:
    newer = {**VERSIONS, "torch": "2.10"}
    about = {
        "a": details(),
        "b": details(id="2", engine="sparse-cpu", versions=newer),
        "c": details(id="3", engine="", versions={}, data=RunData("mnist", "xyz", 0, "none")),
    }
    assert provenance(about) == {
        "Engines": "dense: 1 run, sparse-cpu: 1 run, unknown: 1 run",
        "Winnow": "1.0",
        "Torch": "2.10, 2.9",
        "Python": "3.13",
        "System": "Linux",
        "Machine": "x86",
        "Images (SHA-256 of their content)": "mnist abc; mnist xyz",
        "Replicates": "0, 1, 2",
    }


def test_what_nobody_knows_of_provenance_is_not_said() -> None:
    assert provenance({}) == {"Replicates": "0"}
    assert contents(made.results([])).provenance == ()


def test_the_recipe_reads_back() -> None:
    recipe = {"name": "ü", "steps": ("5ep", 3), "deep": {1: [None, True, 0.5]}, "odd": object}
    text = contents(made.results([made.row()], recipe=recipe)).recipe
    assert yaml.safe_load(text) == {
        "name": "ü", "steps": ["5ep", 3], "deep": {"1": [None, True, 0.5]},
        "odd": "<class 'object'>",
    }  # fmt: skip
    assert text.startswith("name: ü\n")
    assert as_yaml({}) == "{}\n"


# ---- thumbnails


def chart(*series: tuple[Look, list[tuple[float, float]]], **axes: ChartAxis) -> Chart:
    made_ = tuple(
        ChartSeries(f"{k}", "a", "", look, tuple(ChartPoint(x, y, y, y, 1) for x, y in places))
        for k, (look, places) in enumerate(series)
    )
    usual = {"x": ChartAxis("x"), "y": ChartAxis("y")}
    return Chart("k", "t", series=made_, **{**usual, **axes})


def thumbnail(drawn: Chart) -> dict[str, list[tuple[float, float]]]:
    found = contents(made.results([made.row()]), [drawn]).thumbnail
    assert all(path.startswith("M") for _, path in found)
    return {
        color: [(float(x), float(y)) for x, y in re.findall(r"(-?\d+) (-?\d+)", path)]
        for color, path in found
    }


def test_a_thumbnail_fills_its_box() -> None:
    blue, other = IN_TURN[0], replace(IN_TURN[1], color=DENSE_COLOR)
    found = thumbnail(chart((blue, [(0, 10), (5, 20), (10, 30)]), (other, [(10, 20)])))
    assert found == {
        blue.color: [(4, 86), (80, 45), (156, 4)],
        "var(--ink)": [(156, 45)],
    }


def test_a_thumbnail_has_the_axes_of_its_chart() -> None:
    blue = IN_TURN[0]
    axes = {"x": ChartAxis("x", log=True, falling=True), "y": ChartAxis("y", bottom=50.0, top=99)}
    found = thumbnail(chart((blue, [(100, 90), (10, 70), (1, 10)]), **axes))
    assert found == {blue.color: [(4, 4), (80, 45), (156, 86)]}


def test_a_thumbnail_of_one_point_or_none_is_no_error() -> None:
    assert thumbnail(chart((IN_TURN[0], [(3, 3)]))) == {IN_TURN[0].color: [(4, 86)]}
    zero = {"x": ChartAxis("x", log=True)}
    assert thumbnail(chart((IN_TURN[0], [(0, 1), (0, 2)]), **zero)) == {
        IN_TURN[0].color: [(4, 86), (4, 4)]
    }
