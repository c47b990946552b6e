from __future__ import annotations

import base64
import csv
import dataclasses
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import synthetic_report as made
import yaml

from winnow import report
from winnow.errors import UserError

_VOID = {"meta", "img", "br", "link"}


class WellFormed(HTMLParser):
    """Fails on a tag that is closed in the wrong place; keeps the text and the tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: Path) -> WellFormed:
    parser = WellFormed()
    parser.feed(page.read_text())
    parser.close()
    assert parser.open == []
    return parser


def small(**changes: object) -> report.Results:
    return dataclasses.replace(made.paper_like(replicates=2, rounds=3), **changes)  # type: ignore[arg-type]


def test_a_whole_report(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    paths = report.write_report([small()], out, command="winnow report lth/made-up --out x")
    assert paths.page == out / "index.html"
    assert paths.csv == out / "rows.csv"
    assert {path.suffix for path in paths.figures} == {".png", ".svg"}
    files = [paths.page, paths.csv, paths.parquet, out / "tables", *paths.figures]
    assert sorted(out.iterdir()) == sorted(files)
    assert sorted((out / "tables").iterdir()) == sorted(paths.tables)
    with paths.csv.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(small().rows)
    page = parsed(paths.page)
    text = "".join(page.text)
    assert "winnow report lth/made-up --out x" in text
    assert "ticket against dense: the paper's rule" in text
    assert "Made-up numbers." in text
    assert yaml.safe_load(text[text.index("name: lth/made-up") :].split("Winnow")[0]) == made.RECIPE


def test_the_page_needs_no_network_and_no_scripts(tmp_path: Path) -> None:
    paths = report.write_report([small()], tmp_path)
    page = parsed(paths.page)
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe")]
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == len(paths.figures) / 2
    figures = {path.read_bytes() for path in paths.figures if path.suffix == ".svg"}
    for image in images:
        head, data = str(image["src"]).split(",")
        assert head == "data:image/svg+xml;base64"
        assert base64.b64decode(data) in figures
        assert image["alt"]
    for tag, attrs in page.tags:
        if tag == "a":
            target = str(attrs["href"])
            assert (tmp_path / target).is_file()


def test_everything_is_escaped(tmp_path: Path) -> None:
    evil = '<script>alert("&")</script>'
    results = small(name=evil, notes=(evil,), recipe={evil: evil})
    page = parsed(report.write_report([results], tmp_path, command=evil).page)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "".join(page.text).count(evil) >= 5


def test_several_recipes_have_a_section_and_files_each(tmp_path: Path) -> None:
    paths = report.write_report([small(), small(), small(name="lth/other")], tmp_path)
    page = parsed(paths.page)
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert sections == ["lth-made-up", "lth-made-up-2", "lth-other"]
    assert len(set(paths.figures)) == len(paths.figures)
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert {"#lth-made-up", "#lth-made-up-2", "#lth-other"}.issubset(links)


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
    text = "".join(parsed(paths.page).text)
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
    code = (
        "import sys, winnow.report\n"
        "print([name for name in ('torch', 'matplotlib', 'scipy') if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith('winnow.engine')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[:2] == ["[]", "[]"]


def test_claims_are_on_the_page_and_unreadable_ones_are_noted(tmp_path: Path) -> None:
    claim = {"id": "a", "says": "it holds", "of": "final_test_accuracy", "compare": ["dense"]}
    for expect, told in (([0, 1], "<h3>Claims</h3>"), ([1, 0], "write the smaller end first")):
        recipe = {**made.RECIPE, "claims": [{**claim, "expect": expect}]}
        paths = report.write_report([small(recipe=recipe)], tmp_path)
        text = paths.page.read_text()
        assert parsed(paths.page).open == []
        assert told in text
        assert ("<h3>Claims</h3>" in text) == (expect == [0, 1])
    assert "<h3>Claims</h3>" not in report.write_report([small()], tmp_path).page.read_text()
