"""The examples, run as a user runs them, and what they say one can expect."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(tmp_path, monkeypatch, capsys):
    """Run an example in a folder of its own: a line's first words → its percentages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WINNOW_STORE", raising=False)

    def run(name: str) -> dict[str, list[float]]:
        runpy.run_path(str(FOLDER / name), run_name="__main__")
        lines = re.findall(r"^(\w[\w ]*?) {2,}(.*)$", capsys.readouterr().out, re.M)
        return {words: [float(n) for n in re.findall(r"([\d.]+) %", rest)] for words, rest in lines}

    return run


def test_every_example_is_run_here_and_says_how():
    scripts = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert scripts == {"own_model.py", "own_criterion.py", "compare_methods.py"}
    for name in scripts:
        text = (FOLDER / name).read_text("utf-8")
        assert f"\n    python examples/{name}\n" in text
        assert "Expect: " in text


@pytest.mark.slow
def test_own_model(example, tmp_path):
    shown = example("own_model.py")
    assert shown["weights kept"] == [7.8]
    (dense,), (ticket,), (others,) = shown["dense"], shown["ticket"], shown["other weights"]
    assert ticket > dense - 2
    assert ticket > others + 1
    assert (tmp_path / "ticket.safetensors").stat().st_size > 1000


@pytest.mark.slow
def test_own_criterion(example):
    shown = example("own_criterion.py")
    assert shown["lamp"][0] > shown["magnitude"][0] + 3
    assert shown["dense"][0] > shown["lamp"][0]


def test_lamp_is_its_equation():
    """LAMP of every weight by its definition: sums over pairs, in float64."""
    import torch

    import winnow as wn

    lamp = runpy.run_path(str(FOLDER / "own_criterion.py"))["lamp"]
    model = torch.nn.Linear(7, 5)
    squares = model.weight.detach().double().flatten().square()
    by_hand = [float(w / squares[squares >= w].sum()) for w in squares]
    scores = wn.score(model, lamp)["weight"].flatten().tolist()
    assert scores == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.slow
def test_compare_methods(example, tmp_path):
    shown = example("compare_methods.py")  # of each method the last line: at 2 %
    (at, random), (_, snip), (_, rigl) = shown["random"], shown["snip"], shown["rigl"]
    assert at == 2
    assert min(snip, rigl) > random + 20
    assert list((tmp_path / "runs/reports").glob("compare-digits*/index.html"))
