"""Movement of weights: numbers by hand, and sums over layers."""

from __future__ import annotations

import math

import pytest
import torch

from winnow.analysis import layer_movements, weight_movement
from winnow.mask import Mask

INITIAL = {"a": torch.tensor([1.0, -2.0, 0.5, 4.0]), "b": torch.tensor([[-1.0, 3.0]])}
TRAINED = {"a": torch.tensor([2.0, -1.0, -0.5, 9.0]), "b": torch.tensor([[-4.0, 3.0]])}
KEEP = Mask({"a": torch.tensor([1, 1, 1, 0]).bool(), "b": torch.tensor([[1, 0]]).bool()})


def test_numbers_by_hand():
    found = weight_movement(INITIAL, TRAINED, KEEP)  # moved by 1, 1, −1 and −3
    assert found.count == 4
    assert found.signed == pytest.approx((1 + 1 - 1 - 3) / 4)
    assert found.absolute == pytest.approx((1 + 1 + 1 + 3) / 4)
    assert found.relative == pytest.approx(6 / (1 + 2 + 0.5 + 1))
    assert found.outward == pytest.approx((1 - 1 + 0 + 3) / 4)
    assert found.share_outward == 2 / 4
    assert found.initial == pytest.approx(4.5 / 4)


def test_removed_weights_are_the_others():
    found = weight_movement(INITIAL, TRAINED, KEEP.inverted())  # 4 → 9 and 3 → 3
    assert (found.count, found.signed, found.absolute) == (2, 2.5, 2.5)
    assert (found.relative, found.outward, found.share_outward) == (5 / 7, 2.5, 0.5)


def test_layers_add_up():
    layers = layer_movements(INITIAL, TRAINED, KEEP)
    whole = weight_movement(INITIAL, TRAINED, KEEP)
    assert [layer.count for layer in layers.values()] == [3, 1]
    for field in ("signed", "absolute", "outward", "share_outward", "initial"):
        total = sum(getattr(layer, field) * layer.count for layer in layers.values())
        assert getattr(whole, field) == pytest.approx(total / whole.count)
    assert layers["b"].relative == 3


def test_where_nothing_is_chosen_there_is_no_mean():
    nothing = weight_movement(INITIAL, TRAINED, Mask.dense(INITIAL).inverted())
    assert nothing.count == 0
    assert all(math.isnan(v) for v in (nothing.signed, nothing.absolute, nothing.relative))


def test_small_movements_of_many_weights_are_not_rounded_away():
    initial = {"a": torch.full((100_000,), 0.5)}
    trained = {"a": initial["a"] + 2**-20}
    assert weight_movement(initial, trained, Mask.dense(initial)).absolute == 2**-20


def test_weights_of_another_network_are_refused():
    for pair in ((INITIAL, {"a": TRAINED["a"]}), ({"a": INITIAL["a"]}, TRAINED)):
        with pytest.raises(ValueError, match="'b'"):
            weight_movement(*pair, KEEP)
