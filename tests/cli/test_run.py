"""``winnow run``: what it prints where."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from command_line import winnow

from winnow.cli import main

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


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def on_a_terminal(encoding, columns, *arguments):
    """What a terminal of this encoding and width shows of a run that is finished."""
    screen = Terminal(io.BytesIO(), encoding=encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", screen)
        patch.setattr("sys.argv", ["winnow", "run", *map(str, arguments)])
        patch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as end:
            main()
    assert not end.value.code
    screen.flush()
    return screen.buffer.getvalue().decode(encoding)


def test_a_terminal_gets_the_answer_wrapped_and_bars_and_a_pipe_neither(recipe, store):
    arguments = (recipe, "--store", store, "-q")
    piped = winnow("run", *arguments).out.split("\n\n")
    shown = on_a_terminal("utf-8", 50, *arguments).split("\n\n")
    assert shown[0].split() == piped[0].split()
    assert max(map(len, "\n".join(shown[:2]).splitlines())) <= 50
    assert len(piped[0].splitlines()) == 1
    assert "weights left" in shown[1]
    assert "weights left" not in piped[1]
    assert shown[-1] == piped[-1]


def test_a_terminal_without_blocks_gets_other_bars_and_no_error(recipe, store):
    arguments = (recipe, "--store", store, "-q")
    plain = on_a_terminal("ascii", 80, *arguments)
    assert plain.isascii()
    assert "?" not in plain
    blocks = on_a_terminal("utf-8", 80, *arguments)
    assert plain.split("\n\n")[0] == blocks.split("\n\n")[0]


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
