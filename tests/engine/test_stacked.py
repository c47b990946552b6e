"""Rows of a stack against single runs of the dense engine."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from conformance import (
    OPTIMIZERS,
    close,
    lenet,
    make_job,
    random_mask,
    same,
    start,
    training_data,
)
from networks import Asking, Noisy

from winnow.engine.base import Job, Split
from winnow.engine.dense import DenseEngine
from winnow.engine.stack import Stack
from winnow.engine.stacked import StackedEngine
from winnow.errors import UserError
from winnow.models import build
from winnow.state import State, remasked

STACKED, DENSE = StackedEngine("cpu"), DenseEngine("cpu")


def seeds(number: int) -> dict[str, int]:
    return {"order": number, "augment": 10 + number, "dropout": 20 + number}


def several(network: str, options: dict, spec: dict[str, object], count: int = 3) -> list[Job]:
    """Jobs that differ in their seeds, on other examples of the same images."""
    data = dataclasses.replace(training_data((3, 8, 8)), augment="flip-crop")
    jobs = []
    for number in range(count):
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


def open_many(jobs, states, width=None):
    """Sessions in the places 0, 1, …"""
    width = len(jobs) if width is None else width
    return STACKED.open_many(dict(enumerate(jobs)), dict(enumerate(states)), width)


@pytest.mark.parametrize(
    ("network", "options"), [("conv-2", {"dropout": 0.5}), ("resnet-20", {"width": 0.25})]
)
def test_every_row_is_the_dense_engines_run(network, options):
    jobs = several(network, options, OPTIMIZERS[1] | {"lr": 0.005})
    states = [start(job, (None, 0.5, 0.1)[n], n) for n, job in enumerate(jobs)]
    for place, session in open_many(jobs, states, 4).items():
        job, state = jobs[place], states[place]
        alone = DENSE.open(job, state)
        assert session.advance(4).loss == pytest.approx(alone.advance(4).loss, rel=1e-5)
        end = session.state()
        close(end, alone.state())
        metrics, expected = session.evaluate("validation"), alone.evaluate("validation")
        assert metrics.loss == pytest.approx(expected.loss, rel=1e-4)
        assert metrics.accuracy == expected.accuracy  # a count over a count, in float64
        for name, keep in (state.mask or {}).items():
            removed = end.weights[name][~keep]
            assert torch.equal(removed, torch.zeros_like(removed))


def test_evaluations_are_those_of_where_the_stack_stands():
    """All rows are evaluated at once and remembered, until the stack moves on."""
    jobs = [make_job(lenet(), training_data((1, 4, 4)), seeds=seeds(n)) for n in range(2)]
    states = [start(job, 0.5, n) for n, job in enumerate(jobs)]
    sessions = open_many(jobs, states)
    alone = {n: DENSE.open(job, states[n]) for n, job in enumerate(jobs)}
    for to in (0, 3, 8):
        for split in ("train", "test", "train"):
            for place, session in sessions.items():
                session.advance(to)
                alone[place].advance(to)
                expected = alone[place].evaluate(split)
                assert session.evaluate(split).loss == pytest.approx(expected.loss, rel=1e-4)


def test_advancing_one_session_advances_all(monkeypatch):
    jobs = [make_job(lenet(), training_data((1, 4, 4)), seeds=seeds(n)) for n in range(3)]
    states = [start(job, 0.5, n) for n, job in enumerate(jobs)]
    steps = []
    train = Stack._train
    monkeypatch.setattr(Stack, "_train", lambda stack: (steps.append(stack.step), train(stack))[1])
    sessions = open_many(jobs, states)
    first = sessions[2].advance(5)
    assert [session.state().step for session in sessions.values()] == [5, 5, 5]
    assert math.isnan(sessions[2].advance(5).loss)  # no step since
    second = sessions[2].advance(9)
    whole = sessions[0].advance(9)  # the mean over what it had not asked for yet
    alone = DENSE.open(jobs[0], states[0])
    assert whole.loss == pytest.approx(alone.advance(9).loss, rel=1e-5)
    alone = DENSE.open(jobs[2], states[2])
    assert first.loss == pytest.approx(alone.advance(5).loss, rel=1e-5)
    assert second.loss == pytest.approx(alone.advance(9).loss, rel=1e-5)
    assert steps == list(range(9))


def explosive(number: int) -> tuple[Job, State]:
    """A row of SGD at a high rate; number 1 starts from weights so large that it diverges."""
    job = make_job(
        lenet(),
        training_data((1, 4, 4)),
        optimizer=OPTIMIZERS[0] | {"lr": 0.5},
        seeds=seeds(number),
    )
    state = start(job, 0.5, number)
    scale = 1e3 if number == 1 else 1.0
    return job, dataclasses.replace(state, weights={n: w * scale for n, w in state.weights.items()})


def test_a_diverging_session_parts_and_the_others_go_on():
    jobs, states = zip(*map(explosive, range(3)), strict=True)
    alone = [DENSE.open(job, state) for job, state in zip(jobs, states, strict=True)]
    expected = [session.advance(30) for session in alone]
    assert [stats.diverged_at is None for stats in expected] == [True, False, True]
    assert expected[1].diverged_at > 2
    sessions = open_many(jobs, states)
    for place, session in sessions.items():
        stats = session.advance(30)
        assert (stats.step, stats.diverged_at) == (
            expected[place].step,
            expected[place].diverged_at,
        )
        assert math.isfinite(stats.loss) == (place != 1)
        close(session.state(), alone[place].state(), atol=1e-4)
    again = sessions[1].advance(31)  # it is told each time, and the state stays
    assert (again.step, again.diverged_at) == (expected[1].step, expected[1].diverged_at)
    steps = [session.state().step for session in sessions.values()]
    assert steps == [31, expected[1].step, 31]
    mine, theirs = sessions[1].evaluate("test"), alone[1].evaluate("test")
    assert mine.accuracy == pytest.approx(theirs.accuracy)
    assert open_many(jobs[1:2], [sessions[1].state()])[0].advance(31).diverged_at == (
        expected[1].diverged_at
    )


NETWORKS = [
    ("lenet-300-100", {"hidden": [13, 7]}),
    ("conv-2", {"dropout": 0.5}),
    ("resnet-20", {"width": 0.25}),
]


@pytest.mark.parametrize("optimizer", [OPTIMIZERS[1] | {"lr": 0.01}, OPTIMIZERS[3]])
@pytest.mark.parametrize(("network", "options"), NETWORKS)
def test_no_bit_depends_on_what_the_others_hold(network, options, optimizer):
    """A row among others, among others that diverge, and among dummies."""
    jobs = several(network, options, optimizer, 5)
    states = [start(job, 0.4, n) for n, job in enumerate(jobs)]
    wild = [
        dataclasses.replace(s, weights={n: w * 1e30 for n, w in s.weights.items()}) for s in states
    ]
    for place in (0, 2, 4):
        ends = []
        for others in ((0, 1, 2, 3, 4), (4, 3, 2, 1, 0), ()):
            mine, theirs = dict(zip(range(5), jobs, strict=True)), {}
            mine = {p: jobs[n] for p, n in enumerate(others)} | {place: jobs[0]}
            theirs = {p: states[n] for p, n in enumerate(others)} | {place: states[0]}
            ends.append(STACKED.open_many(mine, theirs, 5)[place])
        loud = dict(enumerate(wild)) | {place: states[0]}
        ends.append(STACKED.open_many(dict(enumerate(jobs)) | {place: jobs[0]}, loud, 5)[place])
        stats = [session.advance(6) for session in ends]
        metrics = [session.evaluate("validation") for session in ends]
        assert stats == stats[:1] * 4
        assert metrics == metrics[:1] * 4
        assert stats[0].diverged_at is None
        for session in ends[1:]:
            same(session.state(), ends[0].state())


def test_a_row_resumes_alone_in_the_same_bits():
    """In its width and at its place; the rest are dummies then."""
    jobs = several("conv-2", {"dropout": 0.5}, OPTIMIZERS[3])
    states = [start(job, 0.5, n) for n, job in enumerate(jobs)]
    whole, part = open_many(jobs, states), open_many(jobs, states)
    whole[0].advance(6)
    part[0].advance(2)
    for place, session in part.items():
        rest = STACKED.open_many({place: jobs[place]}, {place: session.state()}, len(jobs))[place]
        rest.advance(6)
        same(rest.state(), whole[place].state())


def test_a_row_whose_mask_changes_parts_from_its_stack():
    jobs = [make_job(lenet(), training_data((1, 4, 4)), seeds=seeds(n)) for n in range(2)]
    states = [start(job, 0.5, n) for n, job in enumerate(jobs)]
    sessions = open_many(jobs, states)
    sessions[0].advance(3)
    mask = random_mask(jobs[0].build(), 0.3, seed=5)
    changed = remasked(sessions[0].state(), mask)
    sessions[0].remask(mask)
    sessions[1].advance(8)
    assert sessions[0].state().step == 3
    sessions[0].advance(8)
    dense = DENSE.open(jobs[0], changed)
    dense.advance(8)
    close(sessions[0].state(), dense.state())


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
    refusal = STACKED.stackable(jobs)
    if reason is None:
        assert refusal is None
        return
    assert reason in refusal
    with pytest.raises(UserError, match="engine: stacked cannot train this: the jobs"):
        open_many(jobs, [start(job, None)] * 2)


def test_it_refuses_states_that_are_not_at_one_step():
    job = make_job(lenet(), training_data((1, 4, 4)))
    state = start(job, None)
    ahead = dataclasses.replace(state, step=5)
    with pytest.raises(UserError, match="the jobs stand at different iterations: 0 and 5"):
        open_many([job, job], [state, ahead])
    session = STACKED.open(job, state)
    session.advance(2)
    tired = dataclasses.replace(session.state(), step=0)
    with pytest.raises(UserError, match="made different numbers of updates: 0 and 2"):
        open_many([job, job], [state, tired])


@pytest.mark.parametrize("module", [Asking, Noisy])
def test_it_refuses_what_cannot_be_batched(module):
    job = make_job(module, training_data((1, 4, 4)))
    assert "torch.func cannot batch the network" in STACKED.refuses(job)
