"""Activation checkpoints change no score: what is computed again is what was computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import winnow as wn
from winnow.errors import UserError

# of checkpoints in checkpoints, whose first pass is one without gradients
pytestmark = pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")

PLAIN, LATE, REENTRANT = None, False, True
DTYPES = (torch.float32, torch.float64)


class Deep(nn.Module):
    """Blocks, each computed anew in the backward pass; ``nested``: each of two layers that are."""

    def __init__(self, how: bool | None, nested: bool = False, norm: bool = False) -> None:
        super().__init__()
        self.how, self.nested = how, nested
        self.first, self.head = nn.Linear(5, 8), nn.Linear(8, 3)
        self.blocks = nn.ModuleList(nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)]) for _ in "ab")
        self.norm = nn.BatchNorm1d(8) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self._again(lambda x: torch.tanh(self.first(x)), x)
        for block in self.blocks:
            x = self._again(lambda x, block=block: self._block(block, x), x)
        return self.head(x)

    def _block(self, block: Any, x: Tensor) -> Tensor:
        for layer in block:
            if self.nested:
                x = self._again(lambda x, layer=layer: torch.relu(self.norm(layer(x))), x)
            else:
                x = torch.relu(self.norm(layer(x)))
        return x

    def _again(self, function: Any, x: Tensor) -> Tensor:
        if self.how is None:
            return function(x)
        return checkpoint(function, x, use_reentrant=self.how)


def made(how: bool | None, dtype: torch.dtype, **options: bool) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = Deep(how, **options).to(dtype)
    return model, torch.randn(6, 5, dtype=dtype), torch.arange(6) % 3


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("options", [{}, {"nested": True}, {"norm": True}], ids=str)
@pytest.mark.parametrize("how", [LATE, REENTRANT], ids=["late", "reentrant"])
@pytest.mark.parametrize("scale", [1.0, 1e-14], ids=["single", "double"])
def test_synflow(how: bool, options: dict[str, bool], dtype: torch.dtype, scale: float) -> None:
    """Small weights: their scores leave float32, and are computed again in float64."""
    found = []
    for one in (PLAIN, how):
        model, x, y = made(one, dtype, **options)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "norm" not in name:
                    weight *= scale
        before = {n: p.clone() for n, p in model.named_parameters()}
        found.append(wn.score(model, "synflow", batch=(x, y)))
        for name, parameter in model.named_parameters():
            assert torch.equal(parameter, before[name])
            assert parameter.dtype == dtype
            assert parameter.grad is None
    plain, again = found
    for name in plain:
        assert again[name].any()
        torch.testing.assert_close(again[name], plain[name], rtol=1e-6, atol=0)


@pytest.mark.parametrize("criterion", ["snip", "grasp", "obd", "data-dependent", "mlprune"])
@pytest.mark.parametrize("how", [LATE, REENTRANT], ids=["late", "reentrant"])
def test_others(criterion: str, how: bool) -> None:
    """The same scores, or an error that says what to do; never others. One cannot be reached:
    a reentrant checkpoint whose input needs no gradient, as torch warns.
    """
    model, x, y = made(PLAIN, torch.float64)
    plain = wn.score(model, criterion, batch=(x, y), loss_fn=F.cross_entropy)
    model, _, _ = made(how, torch.float64, nested=True)
    given: dict[str, Any] = {"batch": (x.requires_grad_(how), y), "loss_fn": F.cross_entropy}
    if how and criterion in ("grasp", "obd", "data-dependent"):
        with pytest.raises(UserError, match="use_reentrant=False"):
            wn.score(model, criterion, **given)
        return
    again = wn.score(model, criterion, **given)
    assert x.grad is None
    for name in plain:
        torch.testing.assert_close(again[name], plain[name], rtol=1e-7, atol=1e-12)


def test_hooks_on_parameters_are_not_run() -> None:
    """Those of an optimizer in the backward pass, of gradient scaling, and of wn.sparsify."""
    for criterion in ("snip", "grasp", "synflow", "obd", "data-dependent", "mlprune"):
        for how in (PLAIN, LATE, REENTRANT):
            if how and criterion in ("grasp", "obd", "data-dependent"):
                continue
            model, x, y = made(how, torch.float64)
            x.requires_grad_(bool(how))
            plain = wn.score(model, criterion, batch=(x, y), loss_fn=F.cross_entropy)
            called: list[Any] = []
            for parameter in model.parameters():
                parameter.register_hook(lambda g, called=called: called.append(g) or 0 * g)
                parameter.register_post_accumulate_grad_hook(called.append)
            again = wn.score(model, criterion, batch=(x, y), loss_fn=F.cross_entropy)
            assert not called
            assert all(torch.equal(plain[name], again[name]) for name in plain)
            F.cross_entropy(model(x), y).backward()
            assert len(called) >= 2 * 10
