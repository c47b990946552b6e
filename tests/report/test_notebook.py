"""What a notebook shows: complete, escaped, without scripts."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_claims import CLAIMED
from made_comparison import made_comparison
from synthetic_report import RECIPE, paper_like, results, row, sweep

from winnow.report.answer import answer
from winnow.report.notebook import outcome_html
from winnow.report.results import Results

EVIL = "<script>alert('x')</script> & \"y\""


class Balanced(HTMLParser):
    """Checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self.seen.add(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(html: str) -> Balanced:
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert "script" not in parser.seen
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    return parser


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    path = tmp_path / "a.svg"
    path.write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    return path


@pytest.mark.parametrize(
    "found", [paper_like(2, 3), made_comparison(), CLAIMED, results([])],
    ids=["rounds", "methods", "claims", "nothing"],
)  # fmt: skip
def test_all_kinds_of_results_have_an_answer(found: Results, figure: Path) -> None:
    html = outcome_html(found, figure, Path("x/index.html"))
    checked(html)
    assert answer(found) in unescape(html)
    assert base64.b64encode(figure.read_bytes()).decode() in html
    assert "x/index.html" in html


def test_the_small_table_has_the_numbers_of_the_brief_one() -> None:
    two = {"ticket": [[0.96, 0.97], [0.97, 0.982]]}
    html = outcome_html(results(sweep(two)), None, None)
    assert "<img" not in html
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", html)
    assert cells == ["weights left", "ticket", "100 % (dense)", "96.50", "50.0 %", "97.60"]


def test_lines_have_a_row_each() -> None:
    two = {"ticket": [[0.96, 0.97], [0.97, 0.982]]}
    made = [replace(one, line=line) for line in ("a", "b") for one in sweep(two)]
    html = outcome_html(results(made, recipe={**RECIPE, "lines": {"a": {}, "b": {}}}), None, None)
    checked(html)
    assert html.count("<table") == 1
    assert html.count('<th scope="row"') == 2


def test_claims_are_counted() -> None:
    html = outcome_html(CLAIMED, None, None)
    assert "Claims of the paper: " in html
    assert "Claims of the paper" not in outcome_html(paper_like(2, 3), None, None)


def test_text_is_escaped(figure: Path) -> None:
    lost = row(replicate=3, round=1, density=0.5, status="diverged", diverged_at=7)
    found = results([*paper_like(2, 3).rows, lost], recipe={**RECIPE, "title": EVIL}, name=EVIL)
    html = outcome_html(found, figure, Path(EVIL))
    checked(html)
    assert "<script" not in html
    assert unescape(html).count(EVIL) == 3
    assert "note: 1 run diverged" in html


def test_a_figure_that_is_gone_is_left_out(tmp_path: Path) -> None:
    assert "<img" not in outcome_html(paper_like(2, 3), tmp_path / "gone.svg", None)
