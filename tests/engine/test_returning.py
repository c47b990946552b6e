"""Sessions that return to earlier weights of their own: the bits of a session opened there."""

from __future__ import annotations

import pytest
from conformance import lenet, make_job, start, training_data

from winnow.engine.base import Returns
from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.engine import SparseEngine

RETURNING = [DenseEngine("cpu"), SparseEngine()]


@pytest.mark.parametrize("engine", RETURNING, ids=lambda engine: engine.name)
@pytest.mark.parametrize("density", [None, 0.3])
def test_a_snapshot_is_the_state_without_slots_and_can_be_returned_to(engine, density, same_bits):
    job = make_job(lenet(), training_data((1, 4, 4)))
    session = engine.open(job, start(job, density))
    assert isinstance(session, Returns)
    session.advance(25)
    kept, then = session.snapshot(), session.state()
    seen = session.evaluate("test")
    session.advance(60)
    assert kept.step == 25
    same_bits(kept.network().weights, then.weights)
    assert kept.network().slots == {}
    assert then.slots
    assert kept.network().mask is then.mask
    last = session.evaluate("test")
    assert last != seen
    session.return_to(kept.network())
    assert session.evaluate("test") == seen == engine.open(job, then).evaluate("test")
    same_bits(session.state().weights, then.weights)


@pytest.fixture
def same_bits():
    def check(one, other):
        assert list(one) == list(other)
        for name, value in one.items():
            assert value.numpy().tobytes() == other[name].numpy().tobytes(), name

    return check
