"""The page as a reader gets it: what stands where, cells as in the tables, all text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import synthetic_report as made
from made_claims import rows as claim_rows
from made_claims import three_rounds, verdict
from made_comparison import made_comparison
from parsed_page import ParsedPage

from winnow.experiment.arms import OF_ROUNDS, Arm
from winnow.experiment.run_parts import RunData, RunInit, RunModel
from winnow.report.figures.drawing import Drawing
from winnow.report.page import Section, page_html, run_list
from winnow.report.page.render import SCRIPTS, static, vega_script
from winnow.report.page.tables import PageTable, claim_tables, density_tables, method_table
from winnow.report.results import Curve, Details, Finding, Results, by_line
from winnow.report.statement import Statement

EVIL = "</script><!--<b a='\"'>&amp;\u2028"


def rendered(*sections: Section, command: str = "") -> ParsedPage:
    html = page_html(sections, command=command, version="1.2.3")
    page = ParsedPage(html)
    assert len(set(page.ids)) == len(page.ids)
    for link in page.attributes("a"):
        target = str(link["href"])
        assert not target.startswith("#") or target[1:] in page.ids or target == "#top"
    return page


def of(results: Results, **fields: Any) -> ParsedPage:
    usual: dict[str, Any] = {"slug": "the-slug", "statements": (), "drawings": {}}
    return rendered(Section(results=results, **{**usual, **fields}))


def in_order(text: str, *pieces: str) -> bool:
    """Whether each piece stands somewhere after the one before it."""
    place = 0
    for piece in pieces:
        place = text.find(piece, place) + len(piece)
        if place < len(piece):
            return False
    return True


def test_the_answer_comes_first_and_provenance_last() -> None:
    results = made.paper_like(replicates=2, rounds=3)
    judged = [verdict(results, number={"mean": 1, "n": 3})]
    said = (Statement("A heading", ("First.",)),)
    page = of(results, statements=said, judged=judged)
    headings = ("Charts", "Round by round", "The paper's numbers beside ours", "Tables", "Claims",
                "Cost", "Statistics in full", "Provenance")  # fmt: skip
    ids = [one for one in page.ids if one.startswith("the-slug")]
    assert ids == ["the-slug", *(f"the-slug-{name}" for name in (
        "charts", "rounds", "printed", "tables", "claims", "cost", "statistics", "provenance"
    ))]  # fmt: skip
    assert in_order(page.text, "lth/made-up", "Test accuracy at early stopping", *headings)
    assert [own["data-chart"] for own in page.attributes("figure") if "data-chart" in own] == [
        f"the-slug-{k}" for k in (1, 2, 3, 4)
    ]
    assert set(page.data["experiments"]["the-slug"]["charts"]) == {
        f"the-slug-{k}" for k in (1, 2, 3, 4)
    }


def test_the_legend_has_a_button_for_each_arm_and_line() -> None:
    listed = [
        made.row(line=line, arm=arm, round=number, run=f"{line}{arm}", density=0.5**number)
        for line in ("low", "high") for arm, number in (("ticket", 0), ("reinit", 1))
    ]  # fmt: skip
    page = of(made.results(listed, recipe={**made.RECIPE, "lines": {"low": {}, "high": {}}}))
    buttons = page.attributes("button")
    assert [own["data-arm"] for own in buttons if "data-arm" in own] == [
        "dense", "ticket", "reinit"
    ]  # fmt: skip
    assert [own["data-line"] for own in buttons if "data-line" in own] == ["low", "high"]


def check_cells(page: ParsedPage, tables: Sequence[PageTable], line: str = "") -> None:
    for table in tables:
        found = page.table(f"{table.label}, {line}" if line else table.label)
        assert found.lines == [list(table.head), *(list(row.cells) for row in table.rows)]
        densities = [own.get("data-density") for own in found.attributes[1:]]
        assert densities == [
            None if row.density is None else f"{row.density:.5g}" for row in table.rows
        ]


def test_tables_have_their_cells_and_densities() -> None:
    results = made.paper_like(replicates=2, rounds=3)
    page = of(results)
    check_cells(page, density_tables(results))
    own = [one for one in page.attributes("table") if "data-runs" in one]
    assert [one["data-line"] for one in own] == ["", "", ""]


def test_lines_have_their_tables_under_their_names() -> None:
    listed = [made.row(line=line, run=line) for line in ("low", "high")]
    whole = made.results(listed, recipe={**made.RECIPE, "lines": {"low": {}, "high": {}}})
    parts = by_line(whole)
    drawings = {"the-slug-low-a": Drawing("a", "A caption.", b"", b"")}
    inside = tuple(
        Section(f"the-slug-{one.line}", one, (Statement(f"Of {one.line}", ()),), drawings)
        for one in parts
    )
    page = of(whole, lines=inside)
    for part in parts:
        check_cells(page, density_tables(part), part.line)
    lines = [one["data-line"] for one in page.attributes("table") if "data-runs" in one]
    assert lines == ["low"] * 3 + ["high"] * 3
    assert {"the-slug-low", "the-slug-high"} < set(page.ids)
    assert in_order(page.text, "Statistics in full", "Of low", "Of high")
    assert "the-slug-low-a.svg" in [own["href"] for own in page.attributes("a")]


def test_a_comparison_begins_with_its_methods() -> None:
    results = made_comparison()
    page = of(results)
    check_cells(page, [method_table(results), *density_tables(results)])
    captions = [table.caption for table in page.tables]
    assert captions.index("Methods") < captions.index("Cost in epochs")
    assert "Methods" not in [table.caption for table in of(made.results([made.row()])).tables]


def test_claims_have_their_cells_and_their_verdicts_a_class() -> None:
    results = made.results(claim_rows({"dense": [[0.9] * 3], "ticket": [[0.91, 0.92, 0.93]] * 3}))
    judged = [
        verdict(results, id="spread", at={"down_to": 51.2}),
        verdict(made.results([]), id="other"),
    ]
    page = of(results, judged=judged)
    check_cells(page, claim_tables(judged))
    assert page.table("spread").lines[1][0] == "80.0"
    assert "spread, comparison by comparison" in page.text
    assert "other, comparison by comparison" not in page.text
    classes = [
        own["class"] for own in page.attributes("td") if "verdict" in (own.get("class") or "")
    ]
    assert classes == ["verdict undecided", "verdict not-run"]
    assert "the-slug-claims" not in of(results).ids


def test_printed_numbers_are_drawn() -> None:
    results = three_rounds([0.9] * 3, [0.91, 0.911, 0.912])
    paper = {"mean": 1.5, "spread": [1.25, 1.75], "kind": "range", "n": 3}
    judged = [
        verdict(results, id="a", number=paper, unit="points"),
        verdict(made.results([]), id="b", number={"mean": 2, "n": 5}, unit="points"),
    ]
    page = of(results, judged=judged)
    assert "paper 1.5 [1.25, 1.75], n 3" in page.text
    assert "ours 1.1 [0.8516, 1.348], n 3" in page.text
    assert "paper 2, n 5" in page.text
    assert "ours: not run" in page.text
    sides = [own["class"] for own in page.attributes("g")]
    assert sides == ["paper", "ours", "paper"]


def test_statements_hide_their_numbers() -> None:
    said = Statement("A heading", ("First.", "Second."), (("name", "n"), ("x", "7")))
    page = of(made.results([made.row()]), statements=(said, Statement("Without", ("Third.",))))
    assert in_order(
        page.text, "A heading", "First.", "Second.", "Every number", "Without", "Third."
    )
    assert [["name", "n"], ["x", "7"]] in [table.lines for table in page.tables]


def test_files_stand_beside_the_page() -> None:
    drawings = {
        "the-slug-one": Drawing("one", "A caption.", b"png", b"<svg/>"),
        "the-slug-two": Drawing("two", "Another.", b"png", b"<svg2/>"),
    }
    page = of(made.results([made.row()]), drawings=drawings)
    targets = [own["href"] for own in page.attributes("a")]
    for name in drawings:
        assert {f"{name}.svg", f"{name}.png"} < set(targets)
    assert in_order(page.text, "A caption.", "Another.")
    assert "Figures as files (2)" in page.text


def test_what_made_the_page_is_told_where_it_is_known() -> None:
    section = Section("x", made.results([made.row(seconds=5400.0)], notes=("One & two.",)), (), {})
    page = rendered(section, command="winnow report <x>")
    assert "Winnow 1.2.3, made by winnow report <x>: 1 stored run, 1.50 hours" in page.text
    assert in_order(page.text, "Source, deviations, caveats", "One & two.")
    plain = of(made.results([made.row()]))
    assert "made by" not in plain.text
    assert "caveats" not in plain.text


def test_what_shared_runs_saved_is_told() -> None:
    shared = [made.row(run="same", replicate=k, seconds=3600.0) for k in range(3)]
    told = "3 points of the experiment stand on 1 runs: what they share saved 2.00 hours."
    assert told in of(made.results(shared)).text
    assert "what they share saved" not in of(made.results([made.row()])).text


def test_how_many_runs_are_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    results = made.results([made.row(replicate=k) for k in range(5)])
    assert "All 5 runs are on this page;" in of(results).text
    monkeypatch.setattr(run_list, "MOST_RUNS", 2)
    assert "Of each point the first 2 runs are on this page, 2 of 5;" in of(results).text


def test_the_scale_is_part_of_how_to_run_it_again() -> None:
    small = of(made.results([made.row()], recipe={**made.RECIPE, "scale": "small"}))
    assert "winnow run lth/made-up --scale small" in small.text
    assert "winnow claims lth/made-up --scale small" in small.text
    assert "lth/made-up at scale small" in small.text
    assert "--scale" not in of(made.results([made.row()])).text


def test_nothing_done_yet() -> None:
    page = of(made.results([], missing=12))
    assert "12 runs of the plan not done yet" in page.text
    assert "No finished run has anything to draw yet." in page.text
    assert page.attributes("figure") == []
    assert {"the-slug-charts", "the-slug-rounds"}.isdisjoint(page.ids)


def test_several_recipes_have_an_index_and_count_their_runs_once() -> None:
    row = made.row(run="same", seconds=3600.0)
    judged = [verdict(three_rounds([0.9] * 3, [0.91, 0.911, 0.912]))]
    titled = {**made.RECIPE, "title": "The second"}
    sections = [
        Section("a-b", made.results([row], name="a/b"), (), {}),
        Section("c", made.results([row], name="c", recipe=titled), (), {}, judged=judged),
    ]
    page = rendered(*sections)
    assert "2 stored" not in page.text
    assert ": 1 stored run, 1.00 hours of training." in page.text
    links = [own["href"] for own in page.attributes("a")]
    assert links.index("#a-b") < links.index("#c")
    assert [own["data-slug"] for own in page.attributes("article")] == ["a-b", "c"]
    assert in_order(page.text, "2 experiments", "Claims of the papers", "a/b", "The second")
    found = [str(own["data-search"]) for own in page.attributes("li") if "data-search" in own]
    assert [one.split()[0] for one in found] == ["a/b", "c"]
    assert "the second" in found[1]
    assert [tag for tag, _ in page.tags].count("h1") == 3
    assert list(page.data["experiments"]) == ["a-b", "c"]
    assert "search" not in of(made.results([row])).ids


# ---- escaping


def evil_results() -> Results:
    arm = Arm(EVIL, "one-shot")
    listed = [
        made.row(line=EVIL, run=EVIL),
        made.row(line=EVIL, run=EVIL + "1", round=1, density=0.5, arm=EVIL),
    ]
    found = Finding(
        key=EVIL, arm=EVIL, against=EVIL, replicate=1, draw=0, round=1, density=0.5,
        density_total=0.5, weights_kept=5, line=EVIL,
        rows=({"jaccard": 0.5}, {"layer": EVIL, "bin": 1.0, EVIL: 0.5}),
    )  # fmt: skip
    about = Details(
        EVIL, EVIL, {EVIL: 1}, {"winnow": EVIL, "machine": EVIL},
        RunModel("lenet-300-100", RunInit("glorot-normal", None), None, 1.0, 0.0),
        RunData("mnist", EVIL, 5000, "none"), {"hidden.0.weight": 3},
    )  # fmt: skip
    curve = Curve((0, 1), (1.0, 0.5), (), ())
    view = {"title": EVIL, "of": "final_test_accuracy"}
    recipe = {**made.RECIPE, "title": EVIL, "source": EVIL, "lines": {EVIL: {}}, "views": [view]}
    return made.results(
        listed, name=EVIL, notes=(EVIL,), recipe=recipe, arms=(*OF_ROUNDS, arm),
        findings=(found,), details={row.run: about for row in listed},
        curves={row.run: curve for row in listed},
    )  # fmt: skip


def test_all_text_is_escaped_wherever_it_comes_from() -> None:
    results = evil_results()
    drawings = {"name": Drawing("name", EVIL, b"", b"")}
    said = (Statement(EVIL, (EVIL,), ((EVIL,), (EVIL,))),)
    # A claim's id has no such letters: the recipe refuses them.
    good = three_rounds([0.9] * 3, [0.91, 0.911, 0.912])
    judged = [verdict(good, says=EVIL, number={"mean": 1, "n": 3})]
    judged = [replace(one, recipe=f"lth/{EVIL}", reason=EVIL) for one in judged]
    section = Section("a", results, said, drawings, judged=judged)
    other = Section("b", results, said, drawings, [Section("c", results, said, drawings)])
    page = rendered(section, other, command=EVIL)
    assert "b" not in {tag for tag, _ in page.tags}
    assert len(page.scripts) == 3
    assert page.text.count(EVIL) > 60
    assert EVIL in page.data["experiments"]["a"]["arms"]
    plain = replace(results, name="x", notes=())
    assert page.text.count(EVIL) > rendered(Section("a", plain, (), {})).text.count(EVIL) > 10


def test_scripts_are_inline_and_hold_nothing_that_ends_them() -> None:
    page = of(made.results([made.row()]))
    assert [own for own, _ in page.scripts] == [
        {"type": "application/json", "id": "winnow-data"}, {}, {}
    ]  # fmt: skip
    assert page.scripts[1][1] == f"(() => {{ {vega_script()} }})();"  # its names stay inside
    assert "winnowVega" in page.scripts[1][1]
    assert "</script" not in vega_script().lower()
    for name in SCRIPTS:
        assert static(f"{name}.js") in page.scripts[2][1]
        assert "</script" not in static(f"{name}.js").lower()
        assert "<!--" not in static(f"{name}.js")


def test_every_script_and_template_is_used() -> None:
    from importlib import resources

    files = [one.name for one in (resources.files("winnow.report") / "static").iterdir()]
    assert sorted(files) == sorted(["page.css", *(f"{name}.js" for name in SCRIPTS)])
