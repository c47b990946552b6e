"""Connections counted one weight at a time."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from winnow.analysis import unit_connections
from winnow.analysis.connections import Connections
from winnow.errors import UserError
from winnow.mask import Mask


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 3, 2), (3, 2, 5)])
def test_counts_are_those_of_single_weights(shape):
    keep = torch.rand(shape, generator=torch.Generator().manual_seed(3)) < 0.4
    keep[1], keep[:, 0] = False, False
    incoming, outgoing = [0] * shape[0], [0] * shape[1]
    for place in itertools.product(*(range(n) for n in shape)):
        incoming[place[0]] += int(keep[place])
        outgoing[place[1]] += int(keep[place])
    found = unit_connections(Mask({"w": keep}))["w"]
    for side, counts in ((found.incoming, incoming), (found.outgoing, outgoing)):
        assert side.counts.tolist() == counts
        assert (side.minimum, side.maximum) == (min(counts), max(counts))
        assert side.mean == pytest.approx(sum(counts) / len(counts))
        assert side.dead == counts.count(0) > 0
    assert found.incoming.possible == keep.numel() // shape[0]
    assert found.outgoing.possible == keep.numel() // shape[1]


def test_inputs_come_first_in_transposed_convolutions():
    model = nn.Sequential(nn.ConvTranspose2d(3, 2, 2), nn.Conv2d(2, 4, 1))
    keep = torch.zeros(3, 2, 2, 2, dtype=torch.bool)
    keep[0, 1], keep[2, 1, 0, 0] = True, True  # from channels 0 and 2 to channel 1
    mask = Mask({"0.weight": keep, "1.weight": torch.ones(4, 2, 1, 1, dtype=torch.bool)})
    found = unit_connections(mask, model)
    up = found["0.weight"]
    assert (up.incoming.counts.tolist(), up.incoming.possible) == ([0, 5], 12)
    assert (up.outgoing.counts.tolist(), up.outgoing.possible) == ([4, 0, 1], 8)
    down = found["1.weight"]
    assert (down.incoming.counts.tolist(), down.outgoing.counts.tolist()) == ([2] * 4, [4] * 2)
    assert unit_connections(mask)["1.weight"].incoming.counts.tolist() == [2] * 4


def test_histogram_edges_belong_to_the_bin_above():
    keep = torch.zeros(5, 10, dtype=torch.bool)
    for row, count in enumerate((0, 1, 3, 9, 10)):  # 0, 0.1, 0.3, 0.9 and 1 of ten
        keep[row, :count] = True
    found = unit_connections(Mask({"w": keep}))["w"].incoming
    assert found.histogram(10) == [0.2, 0.2, 0, 0.2, 0, 0, 0, 0, 0, 0.4]
    assert found.histogram(1) == [1.0]
    assert found.histogram(2) == pytest.approx([0.6, 0.4])


def test_bad_input_is_named():
    with pytest.raises(UserError, match=r"b of shape \(3,\)"):
        unit_connections(Mask({"b": torch.ones(3, dtype=torch.bool)}))
    found = unit_connections(Mask({"w": torch.ones(3, 2, dtype=torch.bool)}))["w"]
    with pytest.raises(UserError, match="of 0 bins"):
        found.incoming.histogram(0)


def test_spread_is_that_of_shares():
    assert Connections(torch.tensor([2, 2, 2]), 4).spread == 0.0
    assert Connections(torch.tensor([0, 4]), 4).spread == pytest.approx(0.5)
    assert Connections(torch.tensor([1, 2, 3]), 10).spread == pytest.approx((0.02 / 3) ** 0.5)
