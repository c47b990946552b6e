from __future__ import annotations

import numpy as np
import pytest

from winnow import rng
from winnow.data.order import Batches, epoch_order, steps_per_epoch
from winnow.errors import UserError


def test_order_is_the_permutation_of_its_named_stream() -> None:
    order = epoch_order(100, 5, 2)
    assert order.dtype == np.int64
    assert order.tolist() == rng.stream(5, "order", 2).permutation(100).tolist()
    assert sorted(order.tolist()) == list(range(100))
    assert order.tolist() != epoch_order(100, 5, 3).tolist()
    assert order.tolist() != epoch_order(100, 6, 2).tolist()


@pytest.mark.parametrize(
    ("n", "batch", "keep", "drop"),
    [(10, 5, 2, 2), (11, 5, 3, 2), (5, 5, 1, 1), (55_000, 60, 917, 916)],
)
def test_steps_per_epoch(n: int, batch: int, keep: int, drop: int) -> None:
    assert steps_per_epoch(n, batch, "keep") == keep
    assert steps_per_epoch(n, batch, "drop") == drop


@pytest.mark.parametrize("last", ["keep", "drop"])
def test_batches_are_the_epochs_cut_in_pieces(last: str) -> None:
    batches = Batches(11, 4, last, seed=1)  # type: ignore[arg-type]
    expected = []
    for epoch in range(3):
        order = epoch_order(11, 1, epoch).tolist()
        pieces = [order[0:4], order[4:8], order[8:11]]
        expected += pieces if last == "keep" else pieces[:2]
    assert [batches.indices(step).tolist() for step in range(len(expected))] == expected


def test_any_step_can_be_asked_in_any_order() -> None:
    forward, backward = Batches(50, 8, "keep", 2), Batches(50, 8, "keep", 2)
    ahead = [forward.indices(step).tolist() for step in range(30)]
    behind = [backward.indices(step).tolist() for step in reversed(range(30))]
    assert ahead == behind[::-1]


def test_a_batch_larger_than_the_data_is_all_of_it_or_an_error() -> None:
    assert sorted(Batches(3, 8, "keep", 0).indices(5).tolist()) == [0, 1, 2]
    with pytest.raises(UserError, match=r"batch=8 .*3.*batch <= 3"):
        steps_per_epoch(3, 8, "drop")


def test_the_cached_order_cannot_be_changed() -> None:
    indices = Batches(10, 5, "keep", 0).indices(0)
    with pytest.raises(ValueError, match="read-only"):
        indices[0] = 1


def test_bad_values() -> None:
    with pytest.raises(UserError, match="batch=0"):
        steps_per_epoch(3, 0, "keep")
    with pytest.raises(UserError, match="'wrap'"):
        steps_per_epoch(3, 1, "wrap")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="step=-1"):
        Batches(3, 1, "keep", 0).indices(-1)
