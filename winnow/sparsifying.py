"""Keeping removed weights exactly zero in any training loop.

The mask lives outside the module: parameters keep their names, and the model can be copied,
saved, exported and compiled while it is sparsified. Gradients are multiplied by the mask as they
are accumulated (before any clipping; ``torch.autograd.grad`` stays dense), weights and optimizer
slots after each optimizer step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.errors import UserError
from winnow.mask import Mask
from winnow.selection import parameters

Optimizers = Optimizer | Sequence[Optimizer]


def sparsify(model: nn.Module, mask: Mask, optimizer: Optimizers | None = None) -> Sparsified:
    """Remove the weights that ``mask`` does not keep, and keep them exactly zero.

    Works from the call on, as a context manager or until ``.close()``. On entry weights, existing
    gradients and existing optimizer slots (momenta) are masked; on exit the hooks are gone and
    the zeros stay where they are, free to be trained. ``optimizer``: one or several; together
    they must hold all masked parameters that require gradients. Without one only weights on
    entry and gradients are masked, which holds for optimizers without earlier slots.

    Two on one model at a time: both hold, so what stays is what both keep. To train with a mask
    that is no subset, close the first one.

    Divergence is not hidden: NaN · 0 is NaN, so a removed weight turns NaN with its network.

    Raises UserError for a mask of other names or shapes, and for an optimizer that does not hold
    the masked parameters.
    """
    return Sparsified(model, mask, optimizer)


class Sparsified:
    """The hooks that ``sparsify`` attached; ``mask`` is what they hold.

    ``dense_gradients``: while True, gradients of removed weights are left as they come.
    ``dense_slots``: while True, so are optimizer slots, which then live on. Weights are exact 0.
    """

    def __init__(self, model: nn.Module, mask: Mask, optimizer: Optimizers | None = None) -> None:
        named = parameters(model)
        fitting(mask, named)
        self.mask = mask
        self.dense_gradients = self.dense_slots = False
        self._weights = {name: named[name] for name in mask}
        self._factors = {name: _Factor(mask[name]) for name in mask}
        self._optimizers: list[Optimizer] = []
        self._handles: list[Any] = []
        optimizers = _as_list(optimizer)
        if optimizers:
            _check_hold_all(self._weights, optimizers)
        for name, weight in self._weights.items():
            self._hold(weight, self._factors[name])
        for each in optimizers:
            self.attach(each)
        self.enforce()

    def attach(self, optimizer: Optimizer) -> None:
        """Hold another optimizer, e.g. one made later. UserError if it holds no masked weight."""
        check_holds_some(self._weights, optimizer)
        self._optimizers.append(optimizer)
        self._mask_after_step(optimizer)
        self._handles.append(optimizer.register_step_post_hook(self._mask_after_step))

    @torch.no_grad()
    def enforce(self) -> None:
        """Set the removed weights, their gradients and slots to zero now, whatever wrote them."""
        for name, weight in self._weights.items():
            removed = self._factors[name].like(weight) == 0
            weight.masked_fill_(removed, 0)  # 0 · w would leave −0.0, and NaN for infinite w
            if weight.grad is not None and not (weight.grad.is_sparse or self.dense_gradients):
                weight.grad.masked_fill_(removed, 0)
        for optimizer in self._optimizers:
            self._mask_after_step(optimizer)

    def remask(self, mask: Mask, grown: Mapping[str, Tensor] | None = None) -> None:
        """Hold another mask over the same names from now on.

        ``grown``: name -> bool, kept weights that start anew: they and their slots become 0.
        UserError for a mask of other names or shapes.
        """
        fitting(mask, self._weights)
        if missing := [name for name in self._weights if name not in mask]:
            raise UserError(f"the new mask lacks {', '.join(map(repr, missing[:3]))}")
        self.mask = mask
        for name in mask:
            self._factors[name].set(mask[name])
        with torch.no_grad():
            for name, new in (grown or {}).items():
                self._reset(self._weights[name], new)
        self.enforce()

    def _reset(self, weight: nn.Parameter, new: Tensor) -> None:
        weight.masked_fill_(new.to(weight.device), 0)
        for optimizer in [] if self.dense_slots else self._optimizers:
            for slot in _slots(optimizer, weight):
                slot.masked_fill_(new.to(slot.device), 0)

    def close(self) -> None:
        """Remove the hooks. The zeros stay where they are, and are trained by whoever trains."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> Sparsified:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _hold(self, weight: nn.Parameter, factor: _Factor) -> None:
        if not weight.requires_grad:
            return
        register: Any = weight.register_post_accumulate_grad_hook
        handle = register(self._gradient_hook(factor))
        self._handles.append(handle)

    @torch.no_grad()
    def _mask_after_step(self, optimizer: Optimizer, *_: object) -> None:
        held = _held([optimizer])
        for name, weight in self._weights.items():
            if id(weight) in held:
                factor = self._factors[name].like(weight)
                if self.dense_slots:  # they move what was removed; 0 · w would leave −0.0
                    weight.masked_fill_(factor == 0, 0)
                    continue
                weight.mul_(factor)
                for slot in _slots(optimizer, weight):
                    slot.mul_(factor)

    def _gradient_hook(self, factor: _Factor) -> Callable[[Tensor], None]:
        @torch.no_grad()
        def hook(weight: Tensor) -> None:
            if weight.grad is not None and not self.dense_gradients:
                weight.grad.mul_(factor.like(weight.grad))

        return hook


class _Factor:
    """A mask as 0.0 and 1.0 in the dtype and on the device of what it multiplies.

    A float multiply costs 6 % of a LeNet step; a boolean fill costs 50 % and more.
    """

    def __init__(self, keep: Tensor) -> None:
        self._value = keep

    def set(self, keep: Tensor) -> None:
        """Another mask in the same place."""
        self._value = keep

    def like(self, tensor: Tensor) -> Tensor:
        if self._value.dtype != tensor.dtype or self._value.device != tensor.device:
            self._value = self._value.to(tensor.device, tensor.dtype)
        return self._value


def fitting(mask: Mask, tensors: Mapping[str, Tensor]) -> None:
    """UserError, with the first names and shapes that differ, unless the mask fits."""
    try:
        mask.check_fits(tensors)
    except ValueError as error:
        raise UserError(str(error)) from None


def check_holds_some(weights: Mapping[str, nn.Parameter], optimizer: Optimizer) -> None:
    """UserError when the optimizer holds none of the weights: it is another model's."""
    held = _held([optimizer])
    if not any(id(weight) in held for weight in weights.values()):
        raise _not_held(list(weights))


def _check_hold_all(weights: Mapping[str, nn.Parameter], optimizers: Iterable[Optimizer]) -> None:
    """UserError unless the optimizers together hold all of the weights that require gradients."""
    held = _held(optimizers)
    if missing := [n for n, w in weights.items() if w.requires_grad and id(w) not in held]:
        raise _not_held(missing)


def _not_held(names: list[str]) -> UserError:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return UserError(
        f"the optimizer does not hold the masked {', '.join(map(repr, names[:3]))}{more}: make it "
        "from the parameters of this very model (after any deepcopy), and pass all optimizers as "
        "a list; set requires_grad_(False) on weights that are not trained"
    )


def _held(optimizers: Iterable[Optimizer]) -> set[int]:
    return {id(p) for o in optimizers for group in o.param_groups for p in group["params"]}


def _slots(optimizer: Optimizer, weight: Tensor) -> list[Tensor]:
    """What the optimizer holds for each entry of the weight: momenta, squares, averages."""
    # A 0-dimensional weight has the shape of step counters, so its slots are left alone.
    state = optimizer.state.get(weight, {}) if weight.dim() else {}
    return [v for v in state.values() if isinstance(v, Tensor) and v.shape == weight.shape]


def _as_list(optimizer: Optimizers | None) -> list[Optimizer]:
    if optimizer is None:
        return []
    return [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer)
