"""The definition: every example alone, by autograd. For parameters that no formula covers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils import _pytree as pytree

from winnow.moments.examples import examples_of, size
from winnow.moments.kinds import Loss, MomentKind, summed, wide

_log = logging.getLogger(__name__)
_TOGETHER = 32  # examples that torch.func.vmap takes at a time
_BYTES = 2**28  # of their gradients


class Alone:
    """Sums over examples, in chunks with ``torch.func.vmap``, else one by one."""

    def __init__(self, model: nn.Module, loss_fn: Loss) -> None:
        self.model, self.loss_fn = model, loss_fn
        self.vmaps = True  # until something in the model proves otherwise

    def moments(
        self, weights: Mapping[str, nn.Parameter], x: Any, y: Any, kind: MomentKind
    ) -> dict[str, Tensor]:
        """Σᵢ |gᵢ| or Σᵢ gᵢ² of the weights over a batch."""
        if self.vmaps:
            try:
                return self._together(weights, x, y, kind)
            except Exception as error:  # whatever a user's forward raises on batched tensors
                _log.info("per-example gradients one by one: vmap failed (%s)", error)
                self.vmaps = False
        sums = {name: torch.zeros_like(w, dtype=wide(w)) for name, w in weights.items()}
        for i in range(size(x)):
            for name, gradient in self._one(weights, x, y, i).items():
                sums[name] += summed(gradient.unsqueeze(0).to(wide(gradient), copy=True), kind)
        return sums

    def _one(
        self, weights: Mapping[str, nn.Parameter], x: Any, y: Any, i: int
    ) -> dict[str, Tensor]:
        example = slice(i, i + 1)
        loss = self.loss_fn(self.model(examples_of(x, example)), examples_of(y, example)).sum()
        if not loss.requires_grad:
            return {}
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        pairs = zip(weights, gradients, strict=True)
        return {name: gradient for name, gradient in pairs if gradient is not None}

    def _together(
        self, weights: Mapping[str, nn.Parameter], x: Any, y: Any, kind: MomentKind
    ) -> dict[str, Tensor]:
        places = _places(self.model, weights)

        def loss_of(values: dict[str, Tensor], x: Any, y: Any) -> Tensor:
            placed = {place: values[name] for place, name in places.items()}
            outputs = functional_call(self.model, placed, (x,), tie_weights=False)
            return self.loss_fn(outputs, y).sum()

        per_example = vmap(grad(loss_of), in_dims=(None, 0, 0), randomness="different")
        values = {name: weight.detach() for name, weight in weights.items()}
        bytes_each = sum(w.numel() * w.element_size() for w in values.values())
        chunk = max(1, min(_TOGETHER, _BYTES // max(1, bytes_each)))
        sums = {name: torch.zeros_like(w, dtype=wide(w)) for name, w in values.items()}
        for start in range(0, size(x), chunk):
            some = slice(start, start + chunk)
            with warnings.catch_warnings():  # that vmap loops where it has no rule
                warnings.filterwarnings("ignore", "There is a performance drop")
                found = per_example(
                    values, _rows(examples_of(x, some)), _rows(examples_of(y, some))
                )
            for name, gradients in found.items():
                sums[name] += summed(gradients.to(wide(gradients)), kind)
        return sums


def _places(model: nn.Module, weights: Mapping[str, nn.Parameter]) -> dict[str, str]:
    """Full names in the model -> names in ``weights`` of the parameters that stand there.

    Each place once: ``functional_call`` leaves its own tensors behind in a module that is part of
    the model under two names.
    """
    names = {id(weight): name for name, weight in weights.items()}
    return {
        f"{path}.{own}" if path else own: names[id(parameter)]
        for path, module in model.named_modules()
        for own, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
        if id(parameter) in names
    }


def _rows(x: Any) -> Any:
    """A batch (N, …) as N batches of one example (N, 1, …)."""
    return pytree.tree_map(lambda t: t.unsqueeze(1) if isinstance(t, Tensor) and t.ndim else t, x)
