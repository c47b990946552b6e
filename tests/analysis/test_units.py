"""Rows of units, against what a layer computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from winnow.analysis.units import by_unit


def reaches(layer, place, shape):
    """Which output channels a single weight contributes to, by running the layer on ones."""
    layer.weight.data.zero_()
    layer.weight.data[place] = 1
    return set(layer(torch.ones(1, *shape)).flatten(2).sum(2)[0].nonzero().flatten().tolist())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.ConvTranspose2d(4, 6, 2, groups=2, bias=False), (4, 3, 3)),
        (nn.ConvTranspose1d(3, 5, 2, bias=False), (3, 4)),
        (nn.ConvTranspose3d(2, 3, 1, bias=False), (2, 2, 2, 2)),
        (nn.Conv2d(4, 6, 2, groups=2, bias=False), (4, 3, 3)),
        (nn.Conv1d(3, 5, 2, bias=False), (3, 4)),
    ],
)
def test_a_weight_is_in_the_row_of_the_channel_that_it_feeds(layer, shape):
    numbered = torch.arange(layer.weight.numel()).reshape(layer.weight.shape)
    rows = by_unit(nn.Sequential(layer), {"0.weight": numbered})["0.weight"]
    assert len(rows) == layer.out_channels
    assert rows.shape[1] == layer.in_channels // layer.groups
    for unit, row in enumerate(rows):
        for number in row.flatten().tolist():
            place = tuple(int(i) for i in (numbered == number).nonzero()[0])
            assert reaches(layer, place, shape) == {unit}


def test_a_layer_alone_and_other_weights():
    layer = nn.ConvTranspose2d(3, 2, 1)
    assert by_unit(layer, {"weight": layer.weight})["weight"].shape == (2, 3, 1, 1)
    linear = nn.Linear(3, 2)
    assert by_unit(linear, {"weight": linear.weight})["weight"] is linear.weight
