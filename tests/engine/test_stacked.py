"""Lanes of a stacked session against single runs of the dense engine."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from conformance import OPTIMIZERS, close, lenet, make_job, same, start, training_data
from torch import nn

from winnow.engine.base import Job, Split
from winnow.engine.dense import DenseEngine
from winnow.engine.stacked import StackedEngine
from winnow.errors import UserError
from winnow.models import build
from winnow.state import State

STACKED, DENSE = StackedEngine("cpu"), DenseEngine("cpu")


def seeds(number: int) -> dict[str, int]:
    return {"order": number, "augment": 10 + number, "dropout": 20 + number}


def lanes(network: str, options: dict[str, float], spec: dict[str, object]) -> list[Job]:
    """Three jobs that differ in their seeds, on other examples of the same images."""
    data = dataclasses.replace(training_data((3, 8, 8)), augment="flip-crop")
    jobs = []
    for number in range(3):
        splits = {
            name: Split(split.images, split.labels, (split.index + 10 * number) % 87)
            for name, split in data.splits.items()
        }
        jobs.append(
            make_job(
                lambda: build(network, inputs=(3, 8, 8), classes=10, **options),
                dataclasses.replace(data, splits=splits),
                optimizer=spec,
                clip=1.0,
                seeds=seeds(number),
            )
        )
    return jobs


@pytest.mark.parametrize(
    ("network", "options"), [("conv-2", {"dropout": 0.5}), ("resnet-20", {"width": 0.25})]
)
def test_every_lane_is_the_dense_engines_run(network, options):
    jobs = lanes(network, options, OPTIMIZERS[1] | {"lr": 0.005})
    states = [start(job, (None, 0.5, 0.1)[n], n) for n, job in enumerate(jobs)]
    session = STACKED.open(jobs, states)
    stats, ends = session.advance(4), session.state()
    metrics = session.evaluate("validation")
    for lane, (job, state) in enumerate(zip(jobs, states, strict=True)):
        alone = DENSE.open([job], [state])
        assert stats[lane].loss == pytest.approx(alone.advance(4)[0].loss, rel=1e-5)
        close(ends[lane], alone.state()[0])
        expected = alone.evaluate("validation")[0]
        assert metrics[lane].loss == pytest.approx(expected.loss, rel=1e-4)
        assert metrics[lane].accuracy == pytest.approx(expected.accuracy)
        for name, keep in (state.mask or {}).items():
            removed = ends[lane].weights[name][~keep]
            assert torch.equal(removed, torch.zeros_like(removed))


def explosive(number: int) -> tuple[Job, State]:
    """A lane of SGD at a high rate; number 1 starts from weights so large that it diverges."""
    job = make_job(
        lenet(),
        training_data((1, 4, 4)),
        optimizer=OPTIMIZERS[0] | {"lr": 0.5},
        seeds=seeds(number),
    )
    state = start(job, 0.5, number)
    scale = 1e3 if number == 1 else 1.0
    return job, dataclasses.replace(state, weights={n: w * scale for n, w in state.weights.items()})


def test_a_diverging_lane_stays_and_the_others_go_on():
    jobs, states = zip(*map(explosive, range(3)), strict=True)
    alone = [DENSE.open([job], [state]) for job, state in zip(jobs, states, strict=True)]
    expected = [session.advance(30)[0] for session in alone]
    assert [stats.diverged_at is None for stats in expected] == [True, False, True]
    assert expected[1].diverged_at > 2
    session = STACKED.open(jobs, states)
    stats = session.advance(30)
    for lane, state in enumerate(session.state()):
        assert (stats[lane].step, stats[lane].diverged_at) == (
            expected[lane].step,
            expected[lane].diverged_at,
        )
        assert math.isfinite(stats[lane].loss) == (lane != 1)
        close(state, alone[lane].state()[0], atol=1e-4)
    again = session.advance(31)  # it is told each time, and the state stays
    assert (again[1].step, again[1].diverged_at) == (expected[1].step, expected[1].diverged_at)
    assert [state.step for state in session.state()] == [31, expected[1].step, 31]
    assert len(session.evaluate("test")) == 3


def test_lanes_at_different_steps_are_trained_to_the_same():
    jobs = [make_job(lenet(), training_data((1, 4, 4)), seeds=seeds(n)) for n in range(3)]
    states = [start(job, 0.5, n) for n, job in enumerate(jobs)]
    whole = STACKED.open(jobs, states)
    whole.advance(12)
    ahead = STACKED.open(jobs[1:2], states[1:2])
    ahead.advance(5)
    mixed = STACKED.open(jobs, [states[0], *ahead.state(), states[2]])
    assert [stats.step for stats in mixed.advance(12)] == [12, 12, 12]
    for one, other in zip(mixed.state(), whole.state(), strict=True):
        close(one, other)


def test_a_stack_resumes_in_the_same_bits():
    jobs = lanes("conv-2", {"dropout": 0.5}, OPTIMIZERS[3])
    states = [start(job, 0.5, n) for n, job in enumerate(jobs)]
    whole, part = STACKED.open(jobs, states), STACKED.open(jobs, states)
    whole.advance(6)
    part.advance(2)
    rest = STACKED.open(jobs, part.state())
    rest.advance(6)
    for one, other in zip(rest.state(), whole.state(), strict=True):
        same(one, other)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"batch": 10}, "different batch sizes: 20 and 10"),
        ({"last_batch": "drop"}, "different rules for an epoch's last batch: keep and drop"),
        ({"steps": 61}, "different lengths of training: 60 and 61"),
        ({"optimizer": OPTIMIZERS[0]}, "different optimizers: "),
        ({"clip": 1.0}, "different limits of the gradient's norm: None and 1.0"),
        ({"build": lenet((1, 2, 8))}, None),
        ({"build": lambda: build("lenet-300-100", inputs=(1, 4, 4), classes=10)}, "different net"),
        ({"data": training_data((1, 4, 4), count=48)}, "different numbers or shapes of images"),
    ],
)
def test_it_refuses_jobs_that_are_not_of_one_kind(change, reason):
    job = make_job(lenet(), training_data((1, 4, 4)))
    jobs = [job, dataclasses.replace(job, **change)]
    found = STACKED.refuses(jobs)
    if reason is None:
        assert found is None
        return
    assert reason in found
    with pytest.raises(UserError, match="engine: stacked cannot train this: the jobs"):
        STACKED.open(jobs, [start(job, None)] * 2)


class Branching(nn.Module):
    """Asks for a number of its batch, which a batched network cannot give."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 10)

    def forward(self, x):
        x = x.flatten(1)
        return self.linear(x if float(x.mean()) > 0 else -x)


class Noisy(nn.Module):
    """Drops units without a module that tells of it."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 10)

    def forward(self, x):
        return self.linear(nn.functional.dropout(x.flatten(1), 0.5))


@pytest.mark.parametrize("module", [Branching, Noisy])
def test_it_refuses_what_cannot_be_batched(module):
    job = make_job(module, training_data((1, 4, 4)))
    assert "torch.func cannot batch the network" in STACKED.refuses([job])
