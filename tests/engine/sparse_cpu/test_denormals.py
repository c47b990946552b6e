from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from conformance import OPTIMIZERS, lenet, make_job, start, training_data

from winnow.engine.sparse_cpu.denormals import denormals_are_zero, denormals_as_zero
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.sparse_cpu.rules import update_rule
from winnow.engine.sparse_cpu.team import Team

SHAPE = (1, 6, 6)
ADAM = OPTIMIZERS[3] | {"lr": 1e-3}
DENORMAL = 1e-40

pytestmark = pytest.mark.skipif(
    not torch.set_flush_denormal(False), reason="this processor has no flag for it"
)


def test_the_flag_is_set_inside_and_as_before_outside():
    assert not denormals_are_zero()
    with denormals_as_zero():
        assert denormals_are_zero()
        with denormals_as_zero():
            assert denormals_are_zero()
        assert denormals_are_zero()
        assert np.float32(DENORMAL) * np.float32(1) == 0
    with denormals_as_zero(False):
        assert not denormals_are_zero()
    assert not denormals_are_zero()
    with pytest.raises(KeyError), denormals_as_zero():
        raise KeyError
    assert not denormals_are_zero()


def test_threads_of_a_team_do_as_the_calling_one():
    team, meet = Team(2), threading.Barrier(2, timeout=20)
    seen: list[bool] = []

    def look():
        meet.wait()  # so that both threads look
        seen.append(denormals_are_zero())

    for wanted in (True, False, True):
        with denormals_as_zero(wanted):
            team.run([look, look])
        assert seen[-2:] == [wanted] * 2


def with_slots(job, size):
    """A state after some steps in which half of the moments have this size."""
    session = SparseEngine().open(job, start(job, 0.5))
    session.advance(5)
    state = session.state()
    for slot in state.slots.values():
        for tensor in slot.values():
            tensor.view(-1)[::2] = size
    return state


def test_moments_that_small_move_no_weight_and_are_forgotten():
    job = make_job(lenet(SHAPE), training_data(SHAPE), optimizer=ADAM, steps=50)
    ends = []
    for size in (DENORMAL, 0.0):
        session = SparseEngine().open(job, with_slots(job, size))
        session.advance(40)
        ends.append(session.state())
        assert not denormals_are_zero()
    for name, weight in ends[0].weights.items():
        assert torch.equal(weight, ends[1].weights[name])
    sizes = torch.cat([t.abs().view(-1) for s in ends[0].slots.values() for t in s.values()])
    assert not ((sizes > 0) & (sizes < 1.17e-38)).any()


def test_which_rules_forget():
    assert update_rule(ADAM | {"weight_decay": 0.0}).forgets_denormals
    assert not update_rule(ADAM | {"weight_decay": 1e-4}).forgets_denormals
    assert not update_rule(ADAM | {"weight_decay": 0.0, "eps": 0.0}).forgets_denormals
    assert update_rule({**ADAM, "name": "adamw", "weight_decay": 0.1}).forgets_denormals
    momentum = {"name": "momentum", "momentum": 0.9, "weight_decay": 1e-4}
    assert update_rule(momentum).forgets_denormals
