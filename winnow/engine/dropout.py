"""Dropout as a product by given numbers: the dense engine's masks where torch draws none.

Under vmap and in compiled code a generator cannot be seeded for each row, or draws other numbers.
So the masks of a step are drawn first, as the dense engine draws them, and passed in.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Call = tuple[float, tuple[int, ...]]
"""A call of dropout in a forward pass: its probability and the shape of its input."""


class GivenDropout(nn.Module):
    """Takes the next of the given factors in training, and is the identity in evaluation."""

    def __init__(self, factors: Iterator[Tensor] | None = None) -> None:
        super().__init__()
        self.factors = factors

    def forward(self, x: Tensor) -> Tensor:
        """The product, of the shape of ``x``."""
        if not self.training:
            return x
        assert self.factors is not None, "a forward pass in training needs its factors"
        return x * next(self.factors).to(x.dtype)


class Dropouts:
    """The dropout layers of a network, which this replaces in place."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...]) -> None:
        """``shape``: of one input of the network, (C, H, W)."""
        self.shape = shape
        self.known: dict[int, list[Call]] = {}
        self.original = copy.deepcopy(model).to("meta") if has_dropout(model) else None
        self.layers: list[GivenDropout] = []
        for name, module in list(model.named_modules(remove_duplicate=False)):
            if _draws(module):
                self.layers.append(GivenDropout())
                model.set_submodule(name, self.layers[-1])

    def draw(self, seed: int, batch: int, device: torch.device) -> list[Tensor]:
        """The factors 0 or 1 / (1 − p) of a forward pass of ``batch`` images, call by call.

        They are those of nn.Dropout in a network that is seeded with ``seed`` before the pass.
        """
        if self.original is None:
            return []
        if batch not in self.known:
            self.known[batch] = _calls(self.original, (batch, *self.shape))
        torch.manual_seed(seed)
        return [F.dropout(torch.ones(shape, device=device), p) for p, shape in self.known[batch]]

    def give(self, factors: Sequence[Tensor]) -> None:
        """The factors of the next forward pass."""
        each = iter(factors)
        for layer in self.layers:
            layer.factors = each


def has_dropout(model: nn.Module) -> bool:
    """Whether a network draws random numbers as it trains; dropout of probability 0 does not."""
    return any(map(_draws, model.modules()))


def _draws(module: nn.Module) -> bool:
    return isinstance(module, nn.Dropout) and module.p > 0


def _calls(model: nn.Module, shape: tuple[int, ...]) -> list[Call]:
    """Which calls a forward pass makes; on the meta device, so that nothing is computed."""
    calls: list[Call] = []

    def note(module: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(module, nn.Dropout)
        calls.append((module.p, tuple(inputs[0].shape)))

    layers = [m for m in model.modules() if _draws(m)]
    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    model.train()(torch.empty(shape, device="meta"))
    for handle in handles:
        handle.remove()
    return calls
