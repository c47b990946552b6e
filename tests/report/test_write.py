"""The files of a report: whole, the same every time, and a page that needs no network."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import synthetic_report as made
import yaml
from parsed_page import ParsedPage

from winnow import report
from winnow.errors import UserError
from winnow.report.figures.drawing import Drawing

COMMAND = "winnow report lth/made-up --out x"


def small(**changes: Any) -> report.Results:
    """Tickets and a control, without curves: figures take the longest."""
    whole = made.paper_like(replicates=2, rounds=2)
    rows = tuple(row for row in whole.rows if row.arm in ("ticket", "reinit"))
    return replace(whole, **{"rows": rows, "curves": {}, **changes})


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drawing that costs nothing in the place of each recipe's figures."""
    drawing = Drawing("accuracy", "A caption.", b"png", b"<svg/>")
    monkeypatch.setattr(report, "draw_figures", lambda _: [drawing])
    monkeypatch.setattr(report, "draw_views", lambda _: [])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> report.Paths:
    out = tmp_path_factory.mktemp("report") / "new" / "folder"
    return report.write_report([made.paper_like(replicates=2, rounds=3)], out, command=COMMAND)


def parsed(paths: report.Paths) -> ParsedPage:
    return ParsedPage(paths.page.read_text("utf-8"))


def test_a_whole_report(written: report.Paths) -> None:
    out = written.page.parent
    assert (written.page, written.csv) == (out / "index.html", out / "rows.csv")
    assert {path.suffix for path in written.figures} == {".png", ".svg"}
    assert written.parquet is not None
    files = [written.page, written.csv, written.parquet, out / "tables", *written.figures]
    assert sorted(out.iterdir()) == sorted(files)
    assert sorted((out / "tables").iterdir()) == sorted(written.tables)
    with written.csv.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(made.paper_like(2, 3).rows)
    page = parsed(written)
    assert COMMAND in page.text
    assert "ticket against dense: the paper's rule" in page.text
    assert "Made-up numbers." in page.text
    inside = page.text[page.text.index("name: lth/made-up") :]
    assert yaml.safe_load(inside.split("\n\n")[0].split("Figures")[0]) == made.RECIPE


def test_the_page_needs_no_network(written: report.Paths) -> None:
    """Nothing of it is loaded from anywhere: not by elements, not by styles."""
    page = parsed(written)
    assert {tag for tag, _ in page.tags}.isdisjoint(
        {"link", "iframe", "object", "embed", "base", "img", "audio", "video", "source", "image"}
    )
    for tag, own in page.tags:
        assert {"src", "srcset", "action", "background", "xlink:href"}.isdisjoint(own), tag
        assert not any(name.startswith("on") for name in own), tag
    assert all({"type", "id"}.issuperset(own) for own, _ in page.scripts)
    html = written.page.read_text("utf-8")
    styles = re.findall(r"<style>(.*?)</style>", html, re.S)
    assert styles
    assert not any("url(" in style or "@import" in style for style in styles)
    own = page.scripts[-1][1]
    assert not re.search(r"https?://|\bfetch\(|XMLHttpRequest|\bimport\(|new Worker", own)


def test_every_link_leads_to_a_file_or_a_place_on_the_page(written: report.Paths) -> None:
    page = parsed(written)
    files = {path.name for path in (*written.figures, written.csv)}
    targets = [str(own["href"]) for own in page.attributes("a")]
    assert files <= set(targets)
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in page.ids or target == "#top"
        else:
            assert (written.page.parent / target).is_file()
    assert len(set(page.ids)) == len(page.ids)
    named = [own[k] for _, own in page.tags for k in ("aria-labelledby", "for") if k in own]
    assert set(named) <= set(page.ids)


def test_the_data_of_every_chart_are_in_the_page(written: report.Paths) -> None:
    page = parsed(written)
    (experiment,) = page.data["experiments"].values()
    drawn = [own["data-chart"] for own in page.attributes("figure") if "data-chart" in own]
    assert drawn == list(experiment["charts"])
    assert all(chart["points"] for chart in experiment["charts"].values())
    assert len(experiment["runs"]) == len(made.paper_like(2, 3).rows)


@pytest.mark.usefixtures("no_figures")
def test_everything_is_escaped(tmp_path: Path) -> None:
    for evil in ('<script>alert("&")</script>', "</script><!--", "'\u2028\"", "]]>--><b>"):
        results = small(name=evil, notes=(evil,), recipe={evil: evil})
        page = parsed(report.write_report([results], tmp_path, command=evil))
        assert len(page.scripts) == 3
        assert "b" not in {tag for tag, _ in page.tags}
        assert page.text.count(evil) >= 4
        (experiment,) = page.data["experiments"].values()
        assert experiment["name"] == evil


@pytest.mark.usefixtures("no_figures")
def test_several_recipes_have_an_article_and_files_each(tmp_path: Path) -> None:
    paths = report.write_report([small(), small(), small(name="lth/other")], tmp_path)
    page = parsed(paths)
    slugs = ["lth-made-up", "lth-made-up-2", "lth-other"]
    assert [own["id"] for own in page.attributes("article")] == slugs
    assert list(page.data["experiments"]) == slugs
    assert len(set(page.ids)) == len(page.ids)
    assert [path.name for path in paths.figures if path.suffix == ".svg"] == [
        f"{slug}-accuracy.svg" for slug in slugs
    ]
    links = [str(own["href"]) for own in page.attributes("a")]
    assert {f"#{slug}" for slug in slugs} <= set(links)
    assert all(link[1:] in page.ids for link in links if link.startswith("#"))


@pytest.mark.usefixtures("no_figures")
def test_ids_are_unique_whatever_lines_and_recipes_are_called(tmp_path: Path) -> None:
    """Of a recipe a/b, a line that is called as a section is; a recipe that is called as a line."""
    names = ("claims", "cost", "2", "Claims", "1")
    rows = [
        made.row(line=line, round=number, density=0.5**number, run=f"{line}{number}")
        for line in names for number in (0, 1)
    ]  # fmt: skip
    claim = {"id": "a", "says": "it holds", "of": "final_test_accuracy", "compare": ["dense"],
             "expect": [0, 1], "line": "cost"}  # fmt: skip
    recipe = {**made.RECIPE, "lines": {name: {} for name in names}, "claims": [claim]}
    lined = made.results(rows, name="a/b", recipe=recipe)
    others = [small(name=name) for name in ("a/b/2", "a/b", "a-b-cost", "top", "main", "runs")]
    paths = report.write_report([lined, *others], tmp_path)
    page = parsed(paths)
    assert len(set(page.ids)) == len(page.ids)
    assert len(set(paths.figures)) == len(paths.figures) == 2 * (len(names) + len(others))
    assert all(path.is_file() for path in paths.figures)


def test_writing_again_gives_the_same_bytes_and_keeps_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    (tmp_path / "index.html").write_text("old")
    first = report.write_report([small()], tmp_path)
    before = {path: path.read_bytes() for path in (first.page, first.csv, *first.figures)}
    report.write_report([small()], tmp_path)
    assert {path: path.read_bytes() for path in before} == before
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_a_report_of_nothing_done_yet(tmp_path: Path) -> None:
    paths = report.write_report([made.results([], missing=12)], tmp_path)
    assert paths.figures == []
    text = parsed(paths).text
    assert "12 runs of the plan not done yet" in text
    assert "No finished run has anything to draw yet." in text


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one recipe"):
        report.write_report([], tmp_path)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match=re.escape(str(file))):
        report.write_report([small()], file)


def test_importing_it_loads_no_heavy_library() -> None:
    heavy = ("torch", "matplotlib", "scipy", "altair", "jinja2", "vl_convert")
    code = (
        "import sys, winnow.report\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith('winnow.engine')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[:2] == ["[]", "[]"]


@pytest.mark.usefixtures("no_figures")
def test_claims_are_on_the_page_and_unreadable_ones_are_noted(tmp_path: Path) -> None:
    claim = {"id": "a", "says": "it holds", "of": "final_test_accuracy", "compare": ["dense"]}
    for expect, told in (([0, 1], "it holds"), ([1, 0], "write the smaller end first")):
        recipe = {**made.RECIPE, "claims": [{**claim, "expect": expect}]}
        page = parsed(report.write_report([small(recipe=recipe)], tmp_path))
        assert told in page.text
        assert ("lth-made-up-claims" in page.ids) == (expect == [0, 1])
    page = parsed(report.write_report([small()], tmp_path))
    assert "lth-made-up-claims" not in page.ids
