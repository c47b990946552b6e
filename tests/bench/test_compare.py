"""The bench: rows from turns, break-even by hand, sides that train the same network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from winnow.bench import compare, sides
from winnow.bench.compare import BenchRow, Work, break_even
from winnow.engine.dense import DenseEngine
from winnow.engine.measure import random_state
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.errors import UserError
from winnow.state import fresh_state

SMALL = Work("lenet-300-100", "digits", 20, "adam")


def rows(*pairs):
    return [
        BenchRow(d, {"sparse": 1.0, "dense": r}, {"sparse": 1.0, "dense": r}, 3) for d, r in pairs
    ]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (rows((1.0, 0.5), (0.5, 1.5), (0.1, 5.0)), 0.75),  # half-way between the ratios
        (rows((1.0, 1.2), (0.1, 5.0)), 1.0),
        (rows((1.0, 0.2), (0.1, 0.9)), None),
        (rows((1.0, 1.2), (0.5, 0.9), (0.1, 1.0)), 0.1),  # from there down for good
        (rows((0.2, 0.5), (0.1, 0.7)), None),
    ],
)
def test_break_even_lies_where_the_ratio_passes_one(found, expected):
    assert break_even(found, "dense") == (None if expected is None else pytest.approx(expected))


def test_rows_go_from_dense_to_sparse_with_times_of_every_side():
    job = compare.work_job(SMALL)
    chosen, notes = compare.willing(["sparse", "eager", "dense", "sparse"], job)
    assert (list(chosen), notes) == (["sparse", "eager", "dense"], [])
    found = list(compare.compare(job, chosen, [0.1, 1.0, 0.1], seconds=0.01))
    assert [row.density for row in found] == [1.0, 0.1]
    for row in found:
        assert list(row.microseconds) == list(row.ratios) == list(chosen)
        assert all(1 < time < 1e6 for time in row.microseconds.values())
        assert row.ratios["sparse"] == 1.0
        assert row.turns >= 2


def test_the_eager_loop_trains_the_masked_network():
    """On the whole training set as one batch, its steps are the dense engine's."""
    job = compare.work_job(Work("lenet-300-100", "digits", 5000, "sgd"))
    job = replace(job, optimizer={**job.optimizer, "lr": 0.1})
    state = random_state(job, {}, 0.3)
    eager = sides.Eager(job)
    order = torch.arange(5000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.randint", lambda *_, **__: order.view(1, -1).repeat(2, 1))
        eager.begin(state)(2)
    session = DenseEngine("cpu").open(job, state)
    session.advance(2)
    expected = session.state()
    mine = fresh_state(eager.model).weights
    for name, weight in expected.weights.items():
        torch.testing.assert_close(mine[name], weight, rtol=1e-5, atol=1e-6)
        assert not torch.equal(mine[name], state.weights[name])
    assert all(not mine[n][~keep].any() for n, keep in state.mask.items())


def test_a_side_that_refuses_is_left_out_with_its_reason(monkeypatch):
    monkeypatch.setattr(SparseEngine, "refuses", lambda *_: "it is Sunday")
    monkeypatch.setattr("shutil.which", lambda _: None)
    job = compare.work_job(SMALL)
    chosen, notes = compare.willing(sides.NAMES, job)
    assert list(chosen) == ["dense", "eager"]
    assert notes[0] == "sparse is left out: it is Sunday"
    assert notes[1].startswith("compile is left out: torch.compile needs a C++ compiler")
    with pytest.raises(UserError, match="nothing is left to measure: sparse is left out: it is S"):
        compare.willing(["sparse"], job)


def test_a_compiler_that_fails_is_told(monkeypatch):
    def fail(*_):
        raise RuntimeError("no such header\nand a page of text")

    monkeypatch.setattr("shutil.which", lambda _: "g++")
    monkeypatch.setattr("torch.compile", lambda _: fail)
    reason = sides.Compiled(compare.work_job(SMALL)).refuses()
    assert reason == "torch.compile fails here: no such header"


def test_every_name_has_a_side_and_a_line():
    from winnow.bench import figure

    assert set(figure.LABELS) == set(figure._LOOKS) == set(sides.NAMES)
    job = compare.work_job(SMALL)
    assert all(sides.make(name, job) for name in sides.NAMES)
