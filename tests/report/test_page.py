"""The page: its sentences about the runs by hand, its sections, its tables and figures."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
import synthetic_report as made
import yaml

from winnow.experiment.arms import TICKET
from winnow.report.figures.drawing import Drawing
from winnow.report.page import Section, page_html
from winnow.report.results import Results, Row
from winnow.report.statement import Statement

COMPARED: Mapping[str, Any] = {
    "arms": (TICKET, made.method("snip")),
    "recipe": {"compare": {}},
}


def page(
    results: Results,
    *,
    statements: tuple[Statement, ...] = (),
    drawings: Mapping[str, Drawing] | None = None,
    command: str = "",
) -> str:
    section = Section("the-slug", results, statements, drawings or {})
    return page_html([section], command=command, version="1.2.3")


def rows() -> list[Row]:
    return [
        made.row(replicate=1, iterations=1000, seconds=3600.0, run="a"),
        made.row(replicate=1, round=1, iterations=20, seconds=1800.0, run="b"),
        made.row(replicate=2, round=1, iterations=3, seconds=360.0, status="diverged", run="b"),
        made.row(replicate=3, round=1, iterations=5, seconds=9e9, status="unreachable", run=""),
    ]


def test_how_much_was_trained() -> None:
    text = page(made.results(rows()))
    assert (
        '<p class="soft">3 runs in 2 replicates, 1,023 training iterations, 1.60 hours of '
        "training.</p>" in text
    )
    assert "1.60 hours of training; 4 runs missing." in page(made.results(rows(), missing=4))
    assert '<p class="soft">Winnow 1.2.3, from 2 stored runs. Every run' in text


@pytest.mark.parametrize("censored", [True, False, None])
def test_the_legend_explains_what_is_marked(censored: bool | None) -> None:
    text = page(made.results([made.row(stop_censored=censored)]))
    assert "Mean over replicates [lowest–highest single run]" in text
    assert ("≥: in at least one run" in text) == bool(censored)


def test_the_command_and_the_notes_are_shown_where_there_are_any() -> None:
    text = page(made.results([made.row()], notes=("One & two.",)), command="winnow report <x>")
    assert "<p>Made by <code>winnow report &lt;x&gt;</code></p>" in text
    assert "<h3>Source, deviations, caveats</h3>\n<ul><li>One &amp; two.</li></ul>" in text
    plain = page(made.results([made.row()]))
    assert "Made by" not in plain
    assert "caveats</h3>" not in plain
    assert "<nav>" not in plain


def test_statements_hide_their_numbers() -> None:
    said = Statement("A heading", ("First.", "Second."), (("name", "n"), ("x", "7")))
    short = Statement("Without", ("Third.",))
    text = page(made.results([made.row()]), statements=(said, short))
    assert "<h4>A heading</h4>\n<ul><li>First.</li><li>Second.</li></ul>\n<details>" in text
    assert "<tr><td>x</td><td>7</td></tr>" in text
    assert "<h4>Without</h4>\n<ul><li>Third.</li></ul>\n<h3>Figures" in text


def test_a_figure_has_its_image_its_caption_and_its_files() -> None:
    drawings = {
        "the-slug-one": Drawing("one", "A caption.", b"png", b"<svg/>", wide=True),
        "the-slug-two": Drawing("two", "Another.", b"png", b"<svg2/>"),
    }
    text = page(made.results([made.row()]), drawings=drawings)
    data = base64.b64encode(b"<svg/>").decode()
    assert f'<figure class="wide">\n<img src="data:image/svg+xml;base64,{data}"' in text
    assert text.count('class="wide"') == 1
    assert '<a href="the-slug-one.svg">SVG</a>, <a href="the-slug-one.png">PNG</a>' in text
    assert text.index("A caption.") < text.index("Another.")
    assert "has anything to draw" not in text
    assert "No finished run has anything to draw yet." in page(made.results([]))


def test_the_recipe_reads_back_from_the_page() -> None:
    recipe = {"name": "ü", "steps": ("5ep", 3), "deep": {1: [None, True, 0.5]}, "odd": object}
    text = page(made.results([made.row()], recipe=recipe))
    inside = text[text.index("<pre>") + 5 : text.index("</pre>")]
    read = yaml.safe_load(inside.replace("&#x27;", "'").replace("&lt;", "<").replace("&gt;", ">"))
    assert read == {"name": "ü", "steps": ["5ep", 3], "deep": {"1": [None, True, 0.5]},
                    "odd": "<class 'object'>"}  # fmt: skip
    assert inside.startswith("name: ü\n")


def test_costs_are_explained_where_there_are_any() -> None:
    costed = [made.row(cost=2.0), made.row(arm="snip", round=1, density=0.5)]
    assert "Cost: epochs of training" in page(made.results(costed, **COMPARED))
    free = [made.row(), made.row(arm="snip", round=1, density=0.5)]
    assert "Cost: epochs of training" not in page(made.results(free, **COMPARED))


def test_several_recipes_have_contents_and_count_their_runs_once() -> None:
    one, two = made.results(rows(), name="a/b"), made.results(rows()[:1], name="c")
    sections = [Section("a-b", one, (), {}), Section("c", two, (), {})]
    text = page_html(sections, command="", version="0")
    links = '<li><a href="#a-b">a/b</a></li><li><a href="#c">c</a></li>'
    assert f"<nav><ul>{links}</ul></nav>" in text
    assert "<title>Winnow: a/b, c</title>" in text
    assert "from 2 stored runs" in text
    assert text.index('<section id="a-b">') < text.index('<section id="c">')
