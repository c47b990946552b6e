"""Second derivatives through convolutions and batch norm equal torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from differentiated import assert_same, product
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from winnow.criteria.second import differentiated_twice


@settings(max_examples=30, deadline=None)
@given(
    dims=st.integers(1, 3),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    padding=st.sampled_from([0, 1, "same"]),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    bias=st.sampled_from([None, False, True]),
    mode=st.sampled_from(["zeros", "circular"]),
    leaf=st.booleans(),
)
def test_convolutions(
    dims: int, kernel: int, stride: int, padding: Any, dilation: int, groups: int,
    bias: bool | None, mode: str, leaf: bool,
) -> None:  # fmt: skip
    if padding == "same":  # torch warns of even kernels, which it pads by hand
        stride, kernel = 1, 3
    torch.manual_seed(0)
    kinds = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
    layers = [
        kinds[dims](
            2, 4, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups,
            bias=bias is not None, padding_mode=mode,
        ),
        nn.Tanh(),
        kinds[dims](4, 2, 1, bias=bias is not None),
    ]  # fmt: skip
    model = nn.Sequential(*layers).double()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith("weight") or bool(bias))
    x = torch.randn(2, 2, *[6] * dims, dtype=torch.float64, requires_grad=leaf)
    assert_same(model, x)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5), (3, 4, 2, 2), (2, 4, 2, 1, 2)])
def test_batch_norm(affine: bool, trained: bool, train: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    norm = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(shape)]
    layer = norm(4, affine=affine).double()
    for tensor in layer.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(4) + 0.1)
    if affine:
        layer.weight.data[1] = 0  # a dead channel
        layer.requires_grad_(trained)
    scale = nn.Parameter(torch.randn(shape[1:], dtype=torch.float64))

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.layer = scale, layer

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x * self.scale)  # type: ignore[no-any-return]

    model = Scaled().train(train)
    x = torch.randn(shape, dtype=torch.float64)
    running = []
    for fast in (True, False):
        layer.running_mean.fill_(0.3)  # type: ignore[union-attr]
        product(model, x, [p for p in model.parameters() if p.requires_grad], fast)
        running.append(layer.running_mean.clone())  # type: ignore[union-attr]
    assert torch.allclose(*running)
    layer.running_mean.fill_(0.3)  # type: ignore[union-attr]
    layer.momentum = 0.0
    assert_same(model, x)


def test_a_single_value_a_channel_is_refused_as_torch_does() -> None:
    layer = nn.BatchNorm2d(3)
    with (
        differentiated_twice(),
        pytest.raises(ValueError, match="more than 1 value per channel"),
    ):
        layer(torch.randn(1, 3, 1, 1))
    layer = nn.BatchNorm1d(3, track_running_stats=False).double()
    layer.requires_grad_(False)
    assert_same(nn.Sequential(nn.Linear(2, 3).double(), layer), torch.randn(5, 2).double())


def test_unbatched_inputs_and_other_types_take_the_usual_way() -> None:
    model = nn.Conv2d(2, 3, 2).double()
    assert_same(model, torch.randn(2, 5, 5).double())
    half = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3)).bfloat16()
    with differentiated_twice():
        y = half(torch.randn(2, 2, 5, 5).bfloat16())
    (g,) = torch.autograd.grad(F.mse_loss(y, y.detach() + 1), half[0].weight)
    assert g.isfinite().all()
