"""What a shrinking took, by layer."""

from __future__ import annotations

import torch
from torch import nn

from winnow.deployment.capture import capture
from winnow.deployment.shrink import LayerSize, Shrinking, shrinking, shrunk, sizes_of_layers
from winnow.deployment.simplify import simplified


def test_sizes_of_all_kinds_of_layers() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 1, groups=2),
        nn.ConvTranspose2d(4, 3, 2), nn.Flatten(), nn.Linear(27, 5),
    )  # fmt: skip
    with torch.no_grad():
        model[5].weight[:, :20] = 0
    found = sizes_of_layers(simplified(capture(model, torch.randn(2, 2, 4, 4))))
    assert found == {
        "0.weight": LayerSize(6, 2, 108, 108),
        "2.weight": LayerSize(4, 6, 12, 12),
        "3.weight": LayerSize(3, 4, 48, 48),
        "5.weight": LayerSize(5, 27, 135, 35),
    }


def test_a_shrinking_counts_units_and_weights_before_and_after() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight[1] = 0
        model[2].weight[:, 3] = 0
        model[2].weight[0, 0] = 0
    before = simplified(capture(model, torch.randn(2, 3)))
    went = shrinking(before, shrunk(before))
    assert went.before == {"0.weight": LayerSize(4, 3, 12, 9), "2.weight": LayerSize(2, 4, 8, 5)}
    assert went.after == {"0.weight": LayerSize(2, 3, 6, 6), "2.weight": LayerSize(2, 2, 4, 3)}
    assert went.units == (6, 4)
    assert went.weights == (20, 10)
    assert list(went.smaller) == ["0.weight", "2.weight"]


def test_a_layer_that_is_gone_counts_as_zeros() -> None:
    one, two = LayerSize(2, 3, 6, 6), LayerSize(4, 2, 8, 1)
    went = Shrinking({"a": one, "b": two}, {"a": one})
    assert went.smaller == {"b": (two, LayerSize(0, 0, 0, 0))}
    assert went.units == (6, 2)
