"""What the site is made by: docstrings as reST, the command line as Markdown, the picture."""

from __future__ import annotations

import os
import runpy
from xml.etree import ElementTree

import pytest
import typer
from documents import ROOT
from making.api import public
from making.command_line import command_line
from making.docstrings import as_rest
from making.gallery import LIVE, is_fresh
from making.picture import FLOWS, picture

from winnow.cli.app import app

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("written", "rest"),
    [
        ("a `name` and ``more``", "a ``name`` and ``more``"),
        ("score = |w|·√E[a²]", r"score = \|w\|·√E[a²]"),
        ("*args, and ``*args``", r"\*args, and ``*args``"),
        ("one_name, stop_* and end_", r"one_name, stop\_\* and end\_"),
        ("as in ``wn.prune``", "as in :py:obj:`wn.prune <winnow.prune>`"),
        ("``with wn.prune``", "``with wn.prune``"),
        ("- a list, of `x`", "- a list, of ``x``"),
    ],
)
def test_a_line_of_a_docstring(written, rest):
    assert as_rest([written]) == [rest]


def test_blocks_of_code_are_left_alone():
    lines = ["For *example*::", "", "    x = y * `z`", "", "    a |= b", "", "And *this*."]
    assert as_rest(lines) == [r"For \*example\*::", *lines[1:6], r"And \*this\*."]


def test_public_names_are_in_the_order_of_the_page():
    names = public("winnow")
    assert names[:3] == ["winnow.deploy", "winnow.dynamic", "winnow.imp"]
    assert "winnow.__version__" not in names
    assert names.index("winnow.sparsify") < names.index("winnow.Mask")


def test_the_command_line_has_every_option():
    sections = {part.partition("\n")[0]: part for part in command_line().split("## winnow ")[1:]}
    for name, command in typer.main.get_command(app).commands.items():
        for one in command.params:
            spelt = [o for o in one.opts if one.param_type_name == "option" and o != "--help"]
            assert all(f"`{o}" in sections[name] for o in spelt if o != "-h"), (name, spelt)
    assert "winnow run [OPTIONS] RECIPE" in sections["run"]
    assert (
        "| `--scale SCALE` | full, small or smoke, where the recipe has it. Default: `full`. |"
        in (sections["run"])
    )
    assert "winnow show [OPTIONS] RUN [RUN]\n" in sections["show"]


def test_the_picture_has_every_package_in_its_floor():
    floors = runpy.run_path(str(ROOT / "tests/test_imports.py"))["FLOORS"]
    texts = list(ElementTree.fromstring(picture()).iter(f"{SVG}text"))
    assert {stage for stage, *_ in FLOWS} <= {text.text for text in texts}
    rows = {}
    for text in texts:
        if text.get("class") == "code":
            rows.setdefault(float(text.get("y")), []).append(text.text)
    assert [tuple(rows[y]) for y in sorted(rows)] == list(floors)


def test_text_of_the_picture_is_inside_of_its_box():
    """By the width of a letter of a monospaced font, 0.6 of its height, which is 13 pixels."""
    root = ElementTree.fromstring(picture())
    boxes = [box for box in root.iter(f"{SVG}rect") if box.get("class") in ("upper", "lower")]
    names = [text for text in root.iter(f"{SVG}text") if text.get("class") == "code"]
    for box, name in zip(boxes, names, strict=True):
        end = float(name.get("x")) + 0.6 * 13 * len(name.text)
        assert float(box.get("x")) < float(name.get("x"))
        assert end < float(box.get("x")) + float(box.get("width")), name.text


def test_a_report_is_fresh_until_something_changes(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    table = tmp_path / "results" / "a.parquet"
    monkeypatch.setattr("making.gallery.RESULTS", tmp_path / "results")
    page = tmp_path / LIVE[0].path
    assert not is_fresh(LIVE[0], tmp_path)
    page.parent.mkdir(parents=True)
    page.touch()
    assert is_fresh(LIVE[0], tmp_path)
    table.touch()
    later = page.stat().st_mtime + 1
    os.utime(table, (later, later))
    assert not is_fresh(LIVE[0], tmp_path)
