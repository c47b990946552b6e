"""The engines that record: what they take, what they refuse, and how they are chosen."""

from __future__ import annotations

import dataclasses
import shutil

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

from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.stacked import StackedEngine, form_on_a_gpu
from winnow.errors import UserError
from winnow.models import build

LANES = StackedEngine("cpu", "lanes", backend=None)
SHAPE = (3, 8, 8)


def convolutional(number=3, **changes):
    data = dataclasses.replace(training_data(SHAPE), augment="flip-crop")
    return make_job(
        lambda: build("conv-2", inputs=SHAPE, classes=10, dropout=0.5),
        data,
        seeds={"order": number, "augment": number, "dropout": number},
        **changes,
    )


def test_on_a_gpu_linear_networks_are_batched_and_others_have_lanes():
    assert form_on_a_gpu(make_job(lenet(), training_data((1, 4, 4)))) == "rows"
    assert form_on_a_gpu(convolutional()) == "lanes"


def test_on_a_cpu_all_is_as_it_was():
    assert StackedEngine("cpu")._form(convolutional()) == "stack"
    assert not CompiledEngine("cpu").recorded


@pytest.mark.parametrize("form", ["lanes", "rows"])
def test_sessions_advance_together_and_change_their_masks_alone(form):
    engine = StackedEngine("cpu", form, backend=None)
    jobs = {place: convolutional(place, optimizer=OPTIMIZERS[3]) for place in (0, 2)}
    states = {place: start(job, 0.5, place) for place, job in jobs.items()}
    sessions = engine.open_many(jobs, states, 3)
    sessions[0].advance(3)
    assert [s.state().step for s in sessions.values()] == [3, 3]
    mask = random_mask(jobs[0].build(), 0.3, seed=5)
    sessions[0].remask(mask)
    for session in sessions.values():
        session.advance(5)
    for place, session in sessions.items():
        dense = DenseEngine("cpu").open(jobs[place], states[place])
        dense.advance(3)
        if place == 0:
            dense.remask(mask)
        dense.advance(5)
        close(session.state(), dense.state(), atol=2e-4)
    assert engine.notes == ()


def test_rows_are_fed_alike():
    data = training_data((1, 4, 4))
    jobs = [make_job(lenet(), d) for d in (data, dataclasses.replace(data, unit_norm=True))]
    refusal = StackedEngine("cpu", "rows").stackable(jobs)
    assert refusal.startswith("the jobs' pixels come differently: ")
    assert LANES.stackable(jobs) is None


@pytest.mark.parametrize(("module", "reason"), [(Asking, "item"), (Noisy, "random numbers")])
def test_what_cannot_be_recorded_is_refused_by_reason(module, reason):
    job = make_job(module, training_data((1, 4, 4)))
    refusal = LANES.refuses(job)
    assert refusal.startswith("the network's step cannot be recorded: ")
    assert reason in refusal
    with pytest.raises(UserError, match="engine: stacked cannot train this"):
        LANES.open(job, start(job, None))


def test_the_compiled_engine_goes_on_without_recording_and_says_so():
    job = make_job(Asking, training_data((1, 4, 4)))
    engine = CompiledEngine("cpu", backend=None, recorded=True)
    session, dense = (e.open(job, start(job, 0.5)) for e in (engine, DenseEngine("cpu")))
    session.advance(3)
    dense.advance(3)
    close(session.state(), dense.state())
    (note,) = engine.notes
    assert "cannot be recorded" in note


@pytest.mark.parametrize("bf16", [False, True])
def test_a_recorded_compiled_engine_has_the_bits_of_its_step(bf16):
    job = convolutional(optimizer=OPTIMIZERS[4], clip=0.7)
    state = start(job, 0.5)
    ends = []
    for recorded in (True, False):
        engine = CompiledEngine("cpu", bf16, backend=None, recorded=recorded)
        session = engine.open(job, state)
        session.advance(3)
        rest = engine.open(job, session.state())
        rest.advance(5)
        ends.append(rest.state())
    same(*ends)


@pytest.mark.parametrize(("form", "kinds"), [("lanes", 2), ("rows", 1)])
def test_each_kind_of_step_is_compiled_once(form, kinds):
    """Lanes under a mask, and dense ones; rows are one network."""
    engine = StackedEngine("cpu", form, backend="eager")
    jobs = {n: convolutional(n, optimizer=OPTIMIZERS[1] | {"lr": 0.01}) for n in range(3)}
    states = {place: start(job, (0.5, 0.3, None)[place]) for place, job in jobs.items()}
    plain = LANES.open_many(jobs, states, 3)
    sessions = engine.open_many(jobs, states, 3)
    assert not engine.recording.codes  # until something trains
    for place, session in sessions.items():
        session.advance(4)
        plain[place].advance(4)
        close(session.state(), plain[place].state())
    assert len(engine.recording.codes) == kinds
    assert engine.notes == ()


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler"
)
@pytest.mark.parametrize("form", ["lanes", "rows"])
def test_a_real_compiler_changes_no_more_than_rounding(form):
    engine = StackedEngine("cpu", form, backend="inductor")
    jobs = {n: convolutional(n, optimizer=OPTIMIZERS[1] | {"lr": 0.01}) for n in range(2)}
    states = {place: start(job, 0.5) for place, job in jobs.items()}
    sessions, plain = (e.open_many(jobs, states, 2) for e in (engine, LANES))
    for place, session in sessions.items():
        session.advance(7)
        plain[place].advance(7)
        close(session.state(), plain[place].state(), atol=2e-4)
    assert engine.notes == ()


def test_no_setting_of_torch_is_left_behind():
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    job = make_job(lenet(), training_data((1, 4, 4)))
    LANES.open(job, start(job, None)).advance(2)
    after = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    assert before == after
