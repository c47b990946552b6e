"""What other engines cost: by sleeping ones, whose times are known, and the real ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import pytest
from conformance import lenet, make_job, training_data
from synthetic_calibration import calibration

from winnow.engine.base import Metrics, StepStats
from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.rivals import with_compiled, with_stacked
from winnow.engine.stacked import StackedEngine

KNOWN = calibration((1.0, 2.0), (0.1, 0.5))  # whose dense step took 1 ms, and an image 1 µs


@dataclass
class Sleeping:
    """An engine whose steps and evaluations take a time by sleeping, and a first step that more."""

    step: float
    image: float = 0.0
    first: float = 0.0
    name: str = "compiled"
    notes: tuple[str, ...] = ()
    opened: int = 0
    at: int = 0

    def open(self, _job, state):
        self.opened += 1
        return replace(self, at=state.step)

    def open_many(self, jobs, states, width):
        assert len(jobs) == len(states) == width
        return {place: self.open(job, states[place]) for place, job in jobs.items()}

    def stackable(self, _):
        return None

    def advance(self, to):
        time.sleep(self.first + self.step * (to - self.at))
        self.first, self.at = 0.0, to
        return StepStats(to, 0.0)

    def evaluate(self, _):
        time.sleep(self.image)
        return Metrics(0.0, 0.0)


def job():
    return make_job(lenet(), training_data((1, 4, 4)))


def test_compiled_is_measured_beside_dense_with_its_first_step():
    dense, compiled = Sleeping(4e-3, 6e-3), Sleeping(2e-3, 3e-3, first=0.2)
    found = with_compiled(job(), KNOWN, dense, compiled, seconds=0.1)
    assert (found.rungs, found.layers, found.key) == (KNOWN.rungs, KNOWN.layers, KNOWN.key)
    other = found.others["compiled"]
    assert 0.2 <= other.opening < 0.4
    assert other.cost.step == pytest.approx(0.5e-3, rel=0.3)  # half of a dense step's 1 ms
    assert other.cost.image == pytest.approx(0.5e-6, rel=0.3)


def test_what_cannot_compile_is_noted_and_not_timed():
    compiled = Sleeping(1e-3, notes=("trained by the dense engine, as there is no compiler",))
    found = with_compiled(job(), KNOWN, Sleeping(1e-3), compiled)
    assert not found.others
    assert found.cannot == {"compiled": compiled.notes[0]}


def test_a_stack_is_measured_as_a_whole_and_kept_for_each_network():
    stacked = Sleeping(8e-3)
    found = with_stacked(job(), KNOWN, Sleeping(4e-3), stacked, 4, seconds=0.1)
    other = found.others["stacked"]
    assert (other.opening, other.width, other.cost.image) == (0.0, 4, 1e-6)
    assert other.cost.step == pytest.approx(0.5e-3, rel=0.3)  # two dense steps for four networks


def test_the_engines_themselves_can_be_measured():
    """Without a compiler, which takes seconds: the step as it is written."""
    dense = DenseEngine("cpu")
    found = with_compiled(job(), KNOWN, dense, CompiledEngine("cpu", backend=None), seconds=0.02)
    found = with_stacked(job(), found, dense, StackedEngine("cpu"), 2, seconds=0.02)
    assert set(found.others) == {"compiled", "stacked"}
    assert all(1e-6 < other.cost.step < 1 for other in found.others.values())
    assert found.others["compiled"].opening < 5
