"""Which parameters a formula covers, and their moments over a batch in one pass."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from winnow.moments import layers
from winnow.moments.examples import check_mean, examples_of, size, total_loss
from winnow.moments.graph import no_gradient
from winnow.moments.kinds import Loss, MomentKind, wide
from winnow.moments.mixing import check_apart, repeatable
from winnow.moments.taps import tapped, uses

_TWO = slice(2)


class Formulas:
    """The layers of a model whose parameters have a formula, as far as that shows in advance.

    Whether a parameter is used once, by its own layer, shows in the graph of each batch's loss.
    Whether a layer keeps examples apart, row by row, is tried with the first examples.
    """

    def __init__(
        self, model: nn.Module, weights: Mapping[str, nn.Parameter], loss_fn: Loss, kind: MomentKind
    ) -> None:
        self.model, self.weights, self.loss_fn, self.kind = model, weights, loss_fn, kind
        self.names = {id(weight): name for name, weight in weights.items()}
        wanted = [m for m in model.modules() if any(id(p) in self.names for p in _own(m).values())]
        self.layers = [m for m in wanted if layers.has_formula(m)]
        self.apart: list[nn.Module] | None = None  # layers that keep examples apart, once tried

    def moments(self, x: Any, y: Any) -> dict[str, Tensor]:
        """Σᵢ |gᵢ| or Σᵢ gᵢ² over a batch, of those parameters that a formula covers."""
        count = size(x)
        if self.apart is None and count > 1:
            self.apart = self._tried(x, y)
        usable = self.layers if self.apart is None else self.apart
        if not usable:
            return {}
        with tapped(usable) as taps:
            loss = total_loss(self.loss_fn, self.model(x), y, count)
            _check_depends(loss)
            used = uses(loss)
            found = {n: torch.zeros_like(w) for n, w in self.weights.items() if not used[id(w)]}

            def add(layer: nn.Module, x: Tensor, delta: Tensor) -> None:
                if taps.calls[layer] > 1 or not layers.fits(layer, x, delta, count):
                    return
                for own, parameter in _own(layer).items():
                    if used[id(parameter)] == 1 and id(parameter) in self.names:
                        if own == "weight" and not layers.has_weight_formula(layer):
                            continue
                        found[self.names[id(parameter)]] = self._moment(layer, own, x, delta)

            taps.backward(loss, add)
        return found

    def _moment(self, layer: nn.Module, own: str, x: Tensor, delta: Tensor) -> Tensor:
        x, delta = x.to(wide(delta)), delta.to(wide(delta))
        if own == "bias":
            return layers.bias_moment(delta, self.kind, -1 if isinstance(layer, nn.Linear) else 1)
        if isinstance(layer, nn.Linear):
            return layers.linear_moment(x, delta, self.kind)
        assert isinstance(layer, nn.Conv1d | nn.Conv2d)
        return layers.convolution_moment(layer, x, delta, self.kind, self._kernel)

    def _kernel(self, *args: Any) -> Tensor:
        moment: Tensor = self._buffers.moment(*args)
        return moment

    @functools.cached_property
    def _buffers(self) -> Any:
        # here, as numba takes a second to import and small models do without
        from winnow.kernels.per_example import Buffers

        return Buffers()

    def _tried(self, x: Any, y: Any) -> list[nn.Module]:
        """The layers whose inputs and outputs have a row for each example, of which no other
        example's loss depends and which depends on no other example.
        """
        if any(_mixes_examples(module) for module in self.model.modules()):
            if not _runs_alone(self.model, x):
                check_apart(self.model, self.model, x, [])
            return []
        behind = check_apart(self.model, self.model, x, self.layers)
        if behind is None:
            return []
        x, y = examples_of(x, _TWO), examples_of(y, _TWO)
        seen: set[nn.Module] = set()
        mixing: set[nn.Module] = set()
        with tapped(self.layers) as taps:
            outputs = self.model(x)
            if not _has_rows(outputs, 2):
                return []
            rows = [slice(0, 1), slice(1, 2)]
            losses = [self.loss_fn(examples_of(outputs, r), examples_of(y, r)).sum() for r in rows]
            check_mean(total_loss(self.loss_fn, outputs, y, 2), losses[0] + losses[1], 2)
            _check_depends(*losses)
            for loss, other in zip(losses, reversed(rows), strict=True):

                def look(layer: nn.Module, x: Tensor, delta: Tensor, other: slice = other) -> None:
                    seen.add(layer)
                    if not layers.fits(layer, x, delta, 2) or delta[other].any():
                        mixing.add(layer)

                if loss.requires_grad:
                    taps.backward(loss, look, retain_graph=True)
        return [layer for layer in self.layers if layer in seen - mixing - behind]


def _own(module: nn.Module) -> dict[str, nn.Parameter]:
    return dict(module.named_parameters(recurse=False, remove_duplicate=False))


def _check_depends(*losses: Tensor) -> None:
    if not any(loss.requires_grad for loss in losses):
        raise no_gradient()


def _mixes_examples(module: nn.Module) -> bool:
    """Batch norm that keeps no statistics: a forward pass of one example gives another result."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None


def _runs_alone(model: nn.Module, x: Any) -> bool:
    """Whether the model takes a single example: batch norm refuses one value a channel."""
    try:
        with torch.no_grad(), repeatable(model):
            model(examples_of(x, slice(1)))
    except ValueError:
        return False
    return True


def _has_rows(outputs: Any, count: int) -> bool:
    tensors = [t for t in pytree.tree_leaves(outputs) if isinstance(t, Tensor)]
    return bool(tensors) and all(t.ndim > 0 and len(t) == count for t in tensors)
