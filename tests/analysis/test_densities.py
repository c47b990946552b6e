"""Densities of layers, by hand."""

from __future__ import annotations

import math

import torch

from winnow.analysis import LayerDensity, collapsed_layers, layer_densities
from winnow.mask import Mask

MASK = Mask(
    {
        "b": torch.tensor([[1, 0], [0, 0]]).bool(),
        "a": torch.tensor([1, 1, 0, 1]).bool(),
        "c": torch.zeros(8).bool(),
    }
)  # keeps 4 of 16


def test_numbers_by_hand():
    assert layer_densities(MASK) == {
        "b": LayerDensity(0.25, 1, 1.0),
        "a": LayerDensity(0.75, 3, 3.0),
        "c": LayerDensity(0.0, 0, 0.0),
    }
    assert list(layer_densities(MASK)) == ["b", "a", "c"]


def test_ratios_weighted_by_size_are_one():
    sizes = {name: MASK[name].numel() / MASK.size for name in MASK}
    assert sum(layer_densities(MASK)[name].ratio * sizes[name] for name in MASK) == 1


def test_layers_that_keep_nothing_are_named():
    assert collapsed_layers(MASK) == ["c"]
    assert collapsed_layers(Mask.dense(MASK)) == []


def test_a_mask_that_keeps_nothing_has_no_ratio():
    found = layer_densities(Mask.dense(MASK).inverted())
    assert {layer.density for layer in found.values()} == {0.0}
    assert all(math.isnan(layer.ratio) for layer in found.values())
