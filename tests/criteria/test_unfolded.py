"""Patches of convolutions: the layer's own output is weights times patches."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from winnow.criteria import unfolded as subject
from winnow.criteria.unfolded import AnyConvolution, unfolded
from winnow.layers import axes_of
from winnow.patterns.axes import as_units

LAYERS: list[tuple[Callable[[], AnyConvolution], tuple[int, ...]]] = [
    (lambda: nn.Conv1d(3, 4, 3, padding=1, stride=2), (9,)),
    (lambda: nn.Conv1d(2, 4, 2, padding="same", dilation=2, padding_mode="circular"), (6,)),
    (lambda: nn.Conv2d(4, 6, (2, 3), groups=2, padding=(1, 0), dilation=(1, 2)), (7, 8)),
    (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (5, 5)),
    (lambda: nn.Conv2d(4, 4, 3, groups=4), (5, 6)),
    (lambda: nn.Conv3d(2, 3, (1, 2, 3), stride=(1, 2, 1)), (3, 4, 5)),
    (lambda: nn.ConvTranspose1d(3, 4, 4, stride=3, padding=2, output_padding=1), (5,)),
    (lambda: nn.ConvTranspose2d(4, 6, (2, 3), stride=2, groups=2, dilation=(2, 1)), (4, 3)),
    (lambda: nn.ConvTranspose2d(2, 3, 2, padding=(2, 1)), (5, 5)),
    (lambda: nn.ConvTranspose3d(2, 2, 2, stride=(1, 2, 3)), (2, 3, 2)),
]


@pytest.mark.parametrize("chunk", [1 << 24, 1])
@pytest.mark.parametrize(("make", "size"), LAYERS)
def test_weights_times_patches_are_the_output(
    make: Callable[[], AnyConvolution],
    size: tuple[int, ...],
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subject, "AT_A_TIME", chunk)
    torch.manual_seed(0)
    layer = make().double()
    x = torch.randn(3, layer.in_channels, *size, dtype=torch.float64)
    matrix = as_units(layer.weight, axes_of(layer)[id(layer.weight)])
    groups = matrix.reshape(layer.groups, -1, matrix.shape[1])
    assert layer.bias is not None
    bias = layer.bias.reshape(-1, *[1] * len(size))
    with torch.no_grad():
        parts = list(unfolded(x, layer))
        assert len(parts) == (3 if chunk == 1 else 1)
        product = groups @ torch.cat(parts, 2)  # (groups, units, examples · positions)
        expected = (layer(x) - bias).transpose(0, 1).flatten(1)
        assert torch.allclose(product.flatten(0, 1), expected, atol=1e-12)
        alone = torch.cat(list(unfolded(x[0], layer)), 2)
        assert torch.equal(alone, torch.cat(list(unfolded(x[:1], layer)), 2))
