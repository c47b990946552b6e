"""Costs at a glance, of engines whose steps move a clock of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat

import pytest
import torch
from conformance import lenet, make_job, training_data

from winnow.engine.auto import seconds
from winnow.engine.base import Metrics, StepStats
from winnow.engine.calibration import Cost
from winnow.engine.dense import DenseEngine
from winnow.engine.glance import glance, glance_at

JOB = make_job(lenet(), training_data((1, 4, 4)))


@dataclass
class Watch:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Fake:
    """Moves the watch by seconds that follow from the density, and by what else the machine does.

    ``image``: seconds of evaluating one. ``others``: what is added to the calls, one after another.
    """

    watch: Watch
    step: Callable[[float], float]
    image: float = 1e-6
    others: Iterator[float] = field(default_factory=lambda: repeat(0.0))
    opened: list[float] = field(default_factory=list)
    steps: int = 0

    def open(self, job, state):
        kept = torch.cat([keep.flatten() for keep in state.mask.values()]) if state.mask else None
        density = 1.0 if kept is None else float(kept.float().mean())
        self.opened.append(density)
        return _Session(self, density, len(job.data.splits.get("test", [()]).index))


@dataclass
class _Session:
    engine: Fake
    density: float
    images: int
    at: int = 0

    def advance(self, to):
        taken, self.at = to - self.at, to
        self.engine.steps += taken
        self.engine.watch.now += taken * self.engine.step(self.density) + next(self.engine.others)
        return StepStats(to, 0.0)

    def evaluate(self, _):
        self.engine.watch.now += self.images * self.engine.image + next(self.engine.others)
        return Metrics(0.0, 0.0)


def test_quick_steps_are_timed_at_three_densities():
    watch = Watch()
    dense = Fake(watch, lambda _: 2e-3, image=5e-6)
    sparse = Fake(watch, lambda density: 1e-4 + 4e-3 * density, image=3e-6)
    found = glance(JOB, dense, sparse, seconds=0.0, clock=watch)
    assert [rung.density for rung in found.rungs] == [1.0, 0.1, 0.02]
    low, lower = sparse.opened[0], sparse.opened[2]  # what a random mask of few weights keeps
    for rung, density in zip(found.rungs, (1.0, low, lower), strict=True):
        assert rung.dense == Cost(pytest.approx(2e-3), pytest.approx(5e-6))
        assert rung.sparse == Cost(pytest.approx(1e-4 + 4e-3 * density), pytest.approx(3e-6))
    assert set(found.layers) == {"hidden.0.weight", "hidden.1.weight", "output.weight"}
    assert seconds(found, "dense", {}, images=100) == pytest.approx(2e-3 + 100 * 5e-6)


def test_of_slow_steps_there_are_two_and_density_1_is_reckoned():
    watch = Watch()
    dense = Fake(watch, lambda _: 2.0)
    sparse = Fake(watch, lambda density: 0.1 + 3.0 * density)
    found = glance(JOB, dense, sparse, clock=watch)
    assert (dense.steps, sparse.steps) == (2, 4)
    low, lower = sparse.opened
    assert max(low, lower) < 0.3  # opening the whole network costs seconds where it is large
    whole, at_low, at_lower = (rung.sparse for rung in found.rungs)
    slope = (at_low.step - at_lower.step) / (0.1 - 0.02)
    assert whole.step == pytest.approx(at_low.step + 0.9 * slope)
    assert found.rungs[0].dense.image == pytest.approx(2.0 / 3 / JOB.batch)


def test_the_least_counts_as_other_programs_only_add_time():
    busy = chain([0.0, 0.0, 0.0, 0.009, 0.003], repeat(0.0))  # first calls, then two turns
    watch = Watch()
    cost = glance_at(JOB, Fake(watch, lambda _: 0.02, others=busy), 0.5, seconds=0.0, clock=watch)
    assert cost.step == pytest.approx(0.02 + 0.003)
    busy = chain([1.0, 0.0], repeat(0.0))
    cost = glance_at(JOB, Fake(watch, lambda _: 0.2, others=busy), 0.5, clock=watch)
    assert cost.step == pytest.approx(0.2)  # the first step of all is slow


def test_real_steps_leave_threads_alone():
    threads = torch.get_num_threads()
    cost = glance_at(JOB, DenseEngine("cpu"), 0.1, seconds=0.0)
    assert 0 < cost.image < cost.step
    assert torch.get_num_threads() == threads
