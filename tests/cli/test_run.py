"""``winnow run``: what it prints where."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import winnow

pytestmark = pytest.mark.usefixtures("own_environment")


def test_run_prints_results_on_stdout_and_progress_on_stderr(finished):
    store, (code, out, err) = finished
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith(("Tickets keep the dense accuracy (", "Tickets lose accuracy from"))
    assert "one replicate: an observation" in lines[0]
    assert lines[2].startswith("Test accuracy at early stopping in %, mean over 1 replicate")
    assert lines[3].split() == ["weights", "ticket", "reinit"]
    assert [line.split()[0] for line in lines[4:6]] == ["100", "50.1"]
    assert len(lines) == 9
    assert "figure: " not in out
    assert sum(line.startswith("page: ") for line in lines) == 1
    assert Path(lines[-1].removeprefix("page: ")) == store / "reports" / "small" / "index.html"
    assert all(Path(x.split(": ")[1]).is_file() for x in lines if x.startswith(("figure", "rows")))
    assert err.splitlines()[0] == "0/3 runs, 0/2 rounds done"
    assert err.splitlines()[-1] == "3/3 runs, 2/2 rounds done"
    assert "\x1b" not in out + err


def test_full_prints_every_density_the_verdict_and_the_figures(recipe, store):
    code, out, err = winnow("run", recipe, "--store", store, "--quiet", "--full")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("density_total %")
    arms = [line.split()[4] for line in lines[1:4]]
    assert arms == ["dense", "ticket", "reinit"]
    assert "ticket against dense: the paper's rule" in lines
    assert "ticket against reinit: paired 95 % intervals" in lines
    figures = [Path(x.split(": ")[1]) for x in lines if x.startswith("figure: ")]
    assert figures
    assert all(figure.is_file() for figure in figures)
    assert [line.split(": ")[0] for line in lines[-2:]] == ["rows", "page"]


def test_a_terminal_gets_the_sentence_wrapped_and_a_pipe_does_not(recipe, store, monkeypatch):
    piped = winnow("run", recipe, "--store", store, "-q").out
    monkeypatch.setattr("winnow.cli.run._columns", lambda: 50)
    shown = winnow("run", recipe, "--store", store, "-q").out
    assert shown.split() == piped.split()
    assert max(map(len, shown.split("\n\n")[0].splitlines())) <= 50
    assert len(piped.splitlines()[0]) > 80


def test_quiet_says_nothing_on_stderr(recipe, store):
    code, out, err = winnow("run", recipe, "--store", store, "--quiet")
    assert (code, err) == (0, "")
    assert "\npage: " in out


def test_a_loss_that_becomes_nan_is_reported_and_the_command_succeeds(recipe, tmp_path):
    arguments = ("--store", tmp_path, "--jobs", 1, "-o", "train.optimizer.lr=1e30")
    code, out, err = winnow("run", recipe, *arguments)
    assert code == 0, err
    assert "1 run diverged" in out
    assert "dense at 100 % (replicate 0, iteration" in out
    assert "2 runs could not start" in out
    assert "diverged at " in winnow("ls", "--store", tmp_path).out
    plan = winnow("plan", recipe, "--runs", *arguments[:2], *arguments[4:]).out
    states = [row.split(" ")[-1] for row in plan.splitlines()]
    assert [state for state in states if state in ("diverged", "unreachable")] == [
        *("diverged", "unreachable", "unreachable")
    ]
