"""The check before anything is written: rounding passes, a lost unit does not."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from winnow.deployment.capture import capture
from winnow.deployment.network import Network
from winnow.deployment.shrink import checked, shrunk
from winnow.deployment.shrink.check import ROUNDINGS
from winnow.deployment.simplify import simplified
from winnow.errors import UserError


class Both(nn.Module):
    """Logits and the class; takes its input by name."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 40), nn.Linear(40, 4)
        self.drop = nn.Dropout(0.5)

    def forward(self, *, values: Tensor) -> dict[str, Any]:
        logits = self.two(self.drop(self.one(values).relu()))
        return {"logits": logits, "label": logits.argmax(1)}


@functools.cache
def made() -> tuple[nn.Module, Network, dict[str, Tensor]]:
    torch.manual_seed(0)
    model, example = Both(), {"values": torch.randn(6, 3)}
    with torch.no_grad():
        model.one.weight[::2] = 0
    return model, shrunk(simplified(capture(model, example))), example


def changed(network: Network, name: str, by: float) -> Network:
    """One value of a constant, times a number."""
    value = network.constants[name].clone()
    value.view(-1)[0] *= by
    return replace(network, constants={**network.constants, name: value})


def test_rounding_passes_and_the_module_stays_in_training() -> None:
    model, network, example = made()
    assert 0 <= checked(network, model, example) < 50 * torch.finfo(torch.float32).eps
    assert model.training


def test_a_changed_weight_is_found_and_its_share_returned_if_small() -> None:
    model, network, example = made()
    with pytest.raises(UserError, match="output 0 of the deployed network differs"):
        checked(changed(network, "two.bias", 1.01), model, example)
    assert checked(changed(network, "two.bias", 1 + 1e-5), model, example) > 1e-7


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, ROUNDINGS), (torch.bfloat16, 8)])
def test_the_tolerance_is_in_roundings_of_the_largest_output(
    dtype: torch.dtype, allowed: int
) -> None:
    model = nn.Identity()
    example = torch.tensor([[1.0, 0.5]], dtype=dtype)
    network = simplified(capture(nn.Sequential(nn.Flatten()), example))
    eps = torch.finfo(dtype).eps

    class Off(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - torch.tensor([0.0, self.by], dtype=dtype)

    assert checked(network, model, example) == 0
    off = Off()
    off.by = eps * (allowed - 1) / 2  # the second output is 0.5, the largest 1
    assert checked(network, off, example) > 0
    off.by = eps * (allowed + 8)
    with pytest.raises(UserError, match="rounding explains"):
        checked(network, off, example)


def test_integers_have_to_be_equal() -> None:
    class Count(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1

    example = torch.arange(4).view(2, 2)
    network = simplified(capture(Count(), example))
    assert checked(network, Count(), example) == 0
    with pytest.raises(UserError, match="output 0 of the deployed network is not"):
        checked(network, nn.Identity(), example)


def test_other_shapes_dtypes_and_numbers_of_outputs_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    example = torch.ones(2, 3)
    network = simplified(capture(nn.Sequential(nn.ReLU()), example))
    with pytest.raises(UserError, match="gives 1 outputs, the module 2"):
        checked(network, Two(), example)
    with pytest.raises(UserError, match=r"float32 \[2, 3\], the module's torch.float32 \[6\]"):
        checked(network, nn.Flatten(0), example)
    with pytest.raises(UserError, match=r"float32 .* the module's torch.float64"):
        checked(network, nn.Sequential(nn.Identity()).append(_Double()), example)


class _Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.double()


def test_what_is_not_a_number_has_to_be_so_on_both_sides() -> None:
    example = torch.tensor([[1.0, torch.nan]])
    network = simplified(capture(nn.Sequential(nn.ReLU()), example))
    assert checked(network, nn.ReLU(), example) == 0

    class Filled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.nan_to_num(0)

    with pytest.raises(UserError, match="differs"):
        checked(network, Filled(), example)
