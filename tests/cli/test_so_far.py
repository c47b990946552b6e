"""The answer on what is finished: read once, looked at rarely, never in the way."""

from __future__ import annotations

import pytest

from winnow.cli.so_far import ReadOnce, SoFar
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store
from winnow.experiment.train.executor import Event


class Clock:
    """Time that only tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("winnow.cli.so_far.time", clock)
    return clock


@pytest.fixture
def experiment():
    recipe = load_recipe("lth/digits", ["prune.rounds=2"], 2)
    return expand("lth/digits", recipe, Source(1437, "x")).experiment()


@pytest.fixture
def looks(monkeypatch):
    """How often it was asked, with what it says then."""
    asked = []

    def said(*_, **__):
        asked.append(len(asked))
        return f"look {len(asked)}"

    monkeypatch.setattr("winnow.cli.so_far.so_far", said)
    return asked


def test_nothing_finished_says_nothing(experiment, tmp_path):
    assert SoFar(experiment, Store(tmp_path)).text() == ""


def test_the_store_is_looked_at_only_after_a_run_has_ended_and_rarely(
    experiment, tmp_path, clock, looks
):
    told = SoFar(experiment, Store(tmp_path))
    assert told.text() == "look 1"
    clock.now += 100
    told.hear(Event("step", "a", 5))
    assert told.text() == "look 1"
    told.hear(Event("done", "a"))
    assert told.text() == "look 2"
    clock.now += 4.9
    told.hear(Event("done", "b"))
    assert told.text() == "look 2"
    clock.now += 0.2
    assert told.text() == "look 3"
    assert len(looks) == 3


def test_slow_looks_are_rarer(experiment, tmp_path, clock, monkeypatch):
    def slow(*_, **__):
        clock.now += 2.0
        return str(clock.now)

    monkeypatch.setattr("winnow.cli.so_far.so_far", slow)
    told = SoFar(experiment, Store(tmp_path))
    first = told.text()
    told.hear(Event("done", "a"))
    clock.now += 39.9
    assert told.text() == first
    clock.now += 0.2
    assert told.text() != first


def test_a_failure_to_tell_ends_nothing(experiment, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("winnow.cli.so_far.so_far", fails)
    assert SoFar(experiment, Store(tmp_path)).text() == ""


def test_what_was_read_is_not_read_again_and_what_is_absent_waits(tmp_path, monkeypatch):
    read = []

    def find(*asked):
        identity = asked[2]
        read.append(identity)
        return None if identity == "absent" else f"{identity} found"

    monkeypatch.setattr(Store, "find_named", find)
    store = ReadOnce(tmp_path)
    for _ in range(3):
        assert store.find_named("x", "here") == "here found"
        assert store.find_named("x", "absent") is None
    assert read == ["here", "absent"]
    store.absent.discard("absent")
    assert store.find_named("x", "absent") is None
    assert read == ["here", "absent", "absent"]
