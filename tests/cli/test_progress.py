"""Progress: the tally's numbers, bars on a terminal, durations in words."""

from __future__ import annotations

import io
import sys

import pytest

from winnow.cli.progress import Tally, in_words, shown
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.train.executor import Event


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def tally():
    recipe = load_recipe("lth/digits", ["prune.rounds=1", "train.steps=400it"], 1)
    plan = expand("x", recipe, Source(1437, "x"))
    return Tally(plan, dict.fromkeys(plan.runs, "missing"))


def test_a_terminal_gets_bars_of_rounds_and_runs(tally, monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with shown(tally, quiet=False) as tell:
        for identity in tally.plan.runs:
            tell(Event("started", identity))
            tell(Event("done", identity))
    last = screen.getvalue()
    assert "rounds" in last
    assert "4/4" in last
    assert "2/2" in last


def test_the_tally_counts_iterations_runs_and_rounds(tally):
    dense, ticket, *controls = tally.plan.runs
    assert tally.line() == "0/4 runs, 0/2 rounds done"
    tally.began -= 10.0
    tally.hear(Event("step", dense, 200))
    assert tally.seconds_left == pytest.approx(10.0 * (1600 - 200) / 200, rel=0.01)
    tally.hear(Event("done", dense))
    assert tally.line() == "1/4 runs, 1/2 rounds done, 30 s left"
    tally.hear(Event("diverged", ticket))
    for identity in controls:
        tally.hear(Event("unreachable", identity))
    assert tally.line() == "4/4 runs, 2/2 rounds done"


@pytest.fixture
def measured():
    changes = [
        "prune.rounds=1",
        "train.steps=40it",
        "analyses=[{name: layer_densities, arms: [ticket]}]",
    ]
    plan = expand("x", load_recipe("lth/digits", changes, 1), Source(1437, "x"))
    made = [point.node.id for point in plan.analyses]
    return Tally(plan, dict.fromkeys(plan.runs, "missing"), made)


def test_the_tally_counts_analyses_without_those_of_lost_runs(measured):
    total = len(measured.analyses)
    assert total > 0
    assert measured.line() == f"0/4 runs, 0/2 rounds, 0/{total} analyses done"
    for identity in measured.plan.runs:
        measured.hear(Event("done", identity))
    assert measured.line() == f"4/4 runs, 2/2 rounds, 0/{total} analyses done"
    measured.hear(Event("made", next(iter(measured.analyses))))
    assert measured.line() == f"4/4 runs, 2/2 rounds, 1/{total} analyses done"
    measured.hear(Event("unreachable", next(iter(measured.analyses.values()))[0]))
    assert measured.analyses_possible < total


def test_a_terminal_gets_bars_of_analyses_too(measured, monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with shown(measured, quiet=False):
        pass
    assert "analyses" in screen.getvalue()


class Told:
    """What finished runs say: how many it has heard of."""

    def __init__(self) -> None:
        self.heard = 0

    def hear(self, event: Event) -> None:
        self.heard += event.kind == "done"

    def text(self) -> str:
        return f"{self.heard} heard" if self.heard else ""


def test_what_is_found_so_far_follows_the_counts(tally, monkeypatch, capsys):
    monkeypatch.setattr("winnow.cli.progress._LINE_EVERY", 0.0)
    first, second, *_ = tally.plan.runs
    with shown(tally, quiet=False, told=Told()) as tell:
        tell(Event("started", first))
        tell(Event("done", first))
        tell(Event("done", second))
    lines = capsys.readouterr().err.splitlines()
    assert "so far" not in lines[0]
    assert lines[1].endswith("; so far: 1 heard")
    assert lines[2].endswith("; so far: 2 heard")


def test_a_terminal_shows_what_is_found_so_far(tally, monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with shown(tally, quiet=False, told=Told()) as tell:
        tell(Event("done", next(iter(tally.plan.runs))))
        tell(Event("note", text="a note"))
    assert "so far: 1 heard" in screen.getvalue()


def test_a_note_is_a_line_of_its_own_and_counts_as_nothing(tally, capsys):
    before = tally.line()
    with shown(tally, quiet=False) as tell:
        tell(Event("note", text="engine: auto takes dense"))
    assert capsys.readouterr().err.splitlines()[0] == "engine: auto takes dense"
    assert tally.line() == before
    with shown(tally, quiet=True) as tell:
        tell(Event("note", text="engine: auto takes dense"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "1 h 30 min"), (3600 * 50, "2 d 2 h")],
)
def test_durations_in_words(seconds, words):
    assert in_words(seconds) == words
