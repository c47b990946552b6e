"""``docs/enter-and-explain.md``, done: its function, its commands made smaller, its formulas."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import winnow
from documents import ROOT, blocks

from winnow.report.parts.decompose import CELLS, decompose

PAGE = ROOT / "docs/enter-and-explain.md"
(FUNCTION,) = [block.text for block in blocks(PAGE, "python")]
ENTER, EXPLAIN = [block.text.removeprefix("$ ").split()[1:] for block in blocks(PAGE, "console")]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, own_cache):  # noqa: ARG001
    """The author's folder, with the page's file."""
    (tmp_path / "even.py").write_text(FUNCTION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("even", None)


def test_the_entry():
    assert ENTER == ["enter", "even.py:even"]
    answer = winnow(*ENTER, "--scale", "smoke", "--jobs", 1, "--store", "runs", "-q")
    assert answer.code == 0, answer.err
    assert re.match(r"even is \dth|even is \d(st|nd|rd) of 6 methods", answer.out)
    assert Path(answer.out.splitlines()[-1].removeprefix("page: ")).is_file()


def test_the_explanation():
    """Up to the training, which is what tests of the command do with a smaller recipe."""
    *asked, run = EXPLAIN
    assert (asked, run) == (["explain", "lth/digits", "--round", "17"], "--run")
    answer = winnow(*asked, "--store", "runs")
    assert answer.code == 0, answer.err
    assert answer.out == "lth/digits: ticket with 2.5 % of the weights (round 17)\n"
    assert "5 of uniform-reinit" in answer.err


def test_the_formulas_of_the_page_are_those_of_the_code():
    """Each is read from the page and computed."""
    values = dict(zip(CELLS, np.random.default_rng(0).uniform(0, 1, 5).tolist(), strict=True))
    symbols = dict(zip(("m, θ", "m, θ′", "r, θ", "r, θ′", "u, θ′"), CELLS, strict=True))

    def computed(formula):
        for symbol, cell in sorted(symbols.items(), key=lambda pair: -len(pair[0])):
            formula = formula.replace(f"a({symbol})", repr(values[cell]))
        return eval(formula.replace("½[", "0.5*(").replace("]", ")").replace("−", "-"))

    found = decompose({cell: {0: value} for cell, value in values.items()})
    text = PAGE.read_text("utf-8")
    for part in found.parts:
        (formula,) = re.findall(rf"^\| {part.name} \| (.*?) \|", text, re.M)
        assert computed(formula) == pytest.approx(part.mean)
    (gain,) = re.findall(r"The gain is (.*?), and", text)
    assert computed(gain) == pytest.approx(found.gain.mean)
    (both,) = re.findall(r"interaction (.*?), is shown", text)
    assert computed(both) == pytest.approx(found.interaction.mean)
