"""Keeping removed weights exactly zero in any training loop.

The mask lives outside the module: parameters keep their names, and the model can be copied,
saved, exported and compiled while it is sparsified. Gradients are multiplied by the mask as they
are accumulated (before any clipping; ``torch.autograd.grad`` stays dense), weights and optimizer
slots after each optimizer step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.averaging import Averaged, Averages, averages_listed
from winnow.distributed import check_agreed, check_no_flat_parameters
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.selection import parameters, uncompiled
from winnow.sharding import local, part_like
from winnow.slots import forget_curvature, mask_slot, weight_slots
from winnow.state import check_writable
from winnow.watching import Watch, WatchHook
from winnow.wrapped import Optimizers, held_by, hookable, optimizers_listed


def sparsify(
    model: nn.Module,
    mask: Mask,
    optimizer: Optimizers | None = None,
    *,
    averaged: Averages | None = None,
) -> Sparsified:
    """Remove the weights that ``mask`` does not keep, and keep them exactly zero.

    Works from the call on, as a context manager or until ``.close()``. On entry weights, existing
    gradients and existing optimizer slots (momenta) are masked; on exit the hooks are gone and
    the zeros stay where they are, free to be trained. ``optimizer``: one or several, as they are
    or in a trainer's wrapper (accelerate, Lightning); together they must hold all masked parameters
    that require gradients, and may hold others. Without one only weights on entry and gradients
    are masked, which holds for optimizers without earlier slots that move each weight by its own
    gradient (not for Muon, which moves all weights of a matrix by all its gradients).

    ``averaged``: averages of the model's weights, e.g. ``torch.optim.swa_utils.AveragedModel``,
    one or several. What is removed is 0 in them too, on entry and whenever the mask changes; the
    average of a weight that is grown again starts at 0 with it, and has forgotten what it was
    before. Entries that are kept all along are averaged as ever.

    Two on one model at a time: both hold, so what stays is what both keep. To train with a mask
    that is no subset, close the first one.

    In a process group this is a collective, and all ranks must give the same mask. Parameters
    sharded by ``fully_shard`` (FSDP2) take a whole mask: shard first, then sparsify.

    What others write to the weights, as ``load_state_dict`` does, is masked before the next forward
    pass or step; so are weights that others have replaced (``assign=True``, conversions), and the
    next step of an optimizer that holds those of before is an error. Writing through ``.data`` into
    the same memory shows after the next step.

    Divergence is not hidden: NaN · 0 is NaN, so a removed weight turns NaN with its network.

    Raises UserError for a mask of other names or shapes, or other than that of another rank, for
    optimizers that do not hold the masked parameters or run no step hooks, and for averages of
    another model.
    """
    held = Sparsified(model, mask, optimizer, averaged)
    held.watch_loading()
    return held


class Sparsified:
    """The hooks that ``sparsify`` attached; ``mask`` is what they hold.

    ``dense_gradients``: while True, gradients of removed weights are left as they come.
    ``dense_slots``: while True, so are optimizer slots, which then live on. Weights are exact 0.
    """

    def __init__(
        self,
        model: nn.Module,
        mask: Mask,
        optimizer: Optimizers | None = None,
        averaged: Averages | None = None,
    ) -> None:
        check_no_flat_parameters(model)
        named = parameters(model)
        fitting(mask, named)
        check_agreed(mask)
        self.mask = mask
        self.dense_gradients = self.dense_slots = False
        self._model = uncompiled(model)
        self._weights = {name: named[name] for name in mask}
        check_writable(self._weights)
        self._factors = {name: _Factor(mask[name]) for name in mask}
        self._averages = [Averaged(each, mask) for each in averages_listed(averaged)]
        self._optimizers: list[Optimizer] = []
        self._handles: list[Any] = []
        optimizers = optimizers_listed(optimizer)
        if optimizers:
            check_hold_all(self._weights, optimizers)
        inner = [one for each in optimizers for one in hookable(each)]
        self._hooks: dict[str, Any] = {}  # of gradients
        self._dropped: dict[int, set[str]] = {}  # what was replaced, by optimizer
        for name in self._weights:
            self._hold(name)
        for each in inner:
            self._follow(each)
        self._watch = Watch(self._model, self._weights)
        self._hook = WatchHook(self._look)
        for module in {self._model, model}:  # a compiled model's wrapper too
            self._handles.append(module.register_forward_pre_hook(self._hook))
        self.enforce()

    def watch_loading(self) -> None:
        """Mask what is loaded at once where the model runs compiled, which leaves out hooks."""
        for module in self._watch.owners:
            register: Any = module.register_load_state_dict_post_hook
            self._handles.append(register(WatchHook(self._loaded)))

    def _loaded(self) -> None:
        if self._hook.compiled:
            self._look()

    def attach(self, optimizer: Optimizer) -> None:
        """Hold another optimizer, e.g. one made later. UserError if it is another model's."""
        self._look()
        everything = {id(parameter) for parameter in self._model.parameters()}
        check_same_model(self._weights, everything, optimizer)
        for each in hookable(optimizer):
            self._mask_after_step(each)
            self._follow(each)

    def attach_average(self, averaged: nn.Module) -> None:
        """Hold an average of the model's weights that was made later, as ``averaged=`` does."""
        average = Averaged(averaged, self.mask)
        average.remove(self.mask)
        self._averages.append(average)

    @torch.no_grad()
    def enforce(self) -> None:
        """Set removed weights, their gradients, slots and averages to 0 now, whoever wrote them."""
        for name, weight in self._weights.items():
            part = local(weight)
            removed = self._factors[name].like(weight) == 0
            part.masked_fill_(removed, 0)  # 0 · w would leave −0.0, and NaN for infinite w
            if weight.grad is not None and not (weight.grad.is_sparse or self.dense_gradients):
                local(weight.grad).masked_fill_(removed, 0)
        for optimizer in self._optimizers:
            self._mask_after_step(optimizer)
        for average in self._averages:
            average.remove(self.mask)
        self._watch.note(self._weights)

    @torch.no_grad()
    def _look(self) -> None:
        """Mask what others have written to the weights, or put in their place."""
        for name, new in self._watch.replaced().items():
            for optimizer in self._optimizers:
                if id(self._weights[name]) in held_by([optimizer]):
                    self._dropped.setdefault(id(optimizer), set()).add(name)
            self._weights[name] = new
            if name in self._hooks:
                self._hooks.pop(name).remove()
            self._hold(name)
        for name in self._watch.written():
            weight: Any = self._weights[name]
            if hooks := weight._post_accumulate_grad_hooks:
                weight._post_accumulate_grad_hooks = hooks  # swapping tensors cuts them off
            local(weight).masked_fill_(self._factors[name].like(weight) == 0, 0)
            self._watch.note([name])

    def remask(self, mask: Mask, grown: Mapping[str, Tensor] | None = None) -> None:
        """Hold another mask over the same names from now on.

        ``grown``: name -> bool, kept weights that start anew: they, their slots and their averages
        become 0. UserError for a mask of other names or shapes.
        """
        fitting(mask, self._weights)
        if missing := [name for name in self._weights if name not in mask]:
            raise UserError(f"the new mask lacks {', '.join(map(repr, missing[:3]))}")
        self.mask = mask
        for name in mask:
            self._factors[name].set(mask[name])
        for optimizer in self._optimizers:
            forget_curvature(optimizer)
        with torch.no_grad():
            for name, new in (grown or {}).items():
                self._reset(self._weights[name], new)
                for average in self._averages:
                    average.restart(name, new)
        self.enforce()

    def _reset(self, weight: nn.Parameter, new: Tensor) -> None:
        part = part_like(new.to(weight.device), weight)
        local(weight).masked_fill_(part, 0)
        for optimizer in [] if self.dense_slots else self._optimizers:
            for slot in weight_slots(optimizer, weight).values():
                mask_slot(slot, ~part.to(slot.device))

    def close(self) -> None:
        """Remove the hooks. The zeros stay where they are, and are trained by whoever trains."""
        for handle in [*self._handles, *self._hooks.values()]:
            handle.remove()
        self._handles.clear()
        self._hooks.clear()

    def __enter__(self) -> Sparsified:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _hold(self, name: str) -> None:
        weight = self._weights[name]
        if not weight.requires_grad:
            return
        register: Any = weight.register_post_accumulate_grad_hook
        self._hooks[name] = register(self._gradient_hook(self._factors[name]))

    def _follow(self, optimizer: Optimizer) -> None:
        self._optimizers.append(optimizer)
        forget_curvature(optimizer)
        self._handles.append(optimizer.register_step_pre_hook(self._check_before_step))
        self._handles.append(optimizer.register_step_post_hook(self._mask_after_step))

    def _check_before_step(self, optimizer: Optimizer, *_: object) -> None:
        """UserError where the optimizer holds parameters that are no longer the model's."""
        held = held_by([optimizer])
        self._look()
        gone = {
            name
            for name in self._dropped.get(id(optimizer), ())
            if id(self._weights[name]) not in held
        }
        if gone:
            raise UserError(
                f"{', '.join(map(repr, sorted(gone)[:3]))} of the model have been replaced since "
                f"{type(optimizer).__name__} was made (load_state_dict(assign=True), a conversion, "
                "a new nn.Parameter): it trains tensors that are no longer the model's. Make it "
                "anew from model.parameters(), and hold the model and it with wn.sparsify or "
                "wn.dynamic"
            )

    @torch.no_grad()
    def _mask_after_step(self, optimizer: Optimizer, *_: object) -> None:
        held = held_by([optimizer])
        for name, weight in self._weights.items():
            if id(weight) in held:
                part = local(weight)
                factor = self._factors[name].like(weight)
                if self.dense_slots:  # they move what was removed; 0 · w would leave −0.0
                    part.masked_fill_(factor == 0, 0)
                    continue
                # w · factor + 0: what moves removed weights (Muon) must leave no −0.0 either
                torch.addcmul(part.new_zeros(()), part, factor, out=part)
                for slot in weight_slots(optimizer, weight).values():
                    mask_slot(slot, factor)
        self._watch.note(name for name, weight in self._weights.items() if id(weight) in held)

    def _gradient_hook(self, factor: _Factor) -> Callable[[Tensor], None]:
        @torch.no_grad()
        def hook(weight: Tensor) -> None:
            if weight.grad is not None and not self.dense_gradients:
                local(weight.grad).mul_(factor.like(weight.grad))

        return hook


class _Factor:
    """A mask as 0.0 and 1.0 in the dtype and on the device of what it multiplies.

    A float multiply costs 6 % of a LeNet step; a boolean fill costs 50 % and more.
    """

    def __init__(self, keep: Tensor) -> None:
        self._value = keep
        self._cut = False

    def set(self, keep: Tensor) -> None:
        """Another mask in the same place."""
        self._value = keep
        self._cut = False

    def like(self, tensor: Tensor) -> Tensor:
        """For a tensor of the weight's shape; of a sharded one, for this rank's part."""
        if self._value.dtype != tensor.dtype or self._value.device != tensor.device:
            self._value = self._value.to(tensor.device, tensor.dtype)
        if not self._cut:
            self._value, self._cut = part_like(self._value, tensor), True
        return self._value


def fitting(mask: Mask, tensors: Mapping[str, Tensor]) -> None:
    """UserError, with the first names and shapes that differ, unless the mask fits."""
    try:
        mask.check_fits(tensors)
    except ValueError as error:
        raise UserError(str(error)) from None


def check_same_model(
    weights: Mapping[str, nn.Parameter], everything: set[int], optimizer: Optimizer
) -> None:
    """UserError when the optimizer holds no parameter of the model, whose ids ``everything`` has.

    ``weights``: the masked ones, to name.
    """
    if not held_by([optimizer]) & everything:
        raise _not_held(list(weights))


def check_hold_all(weights: Mapping[str, nn.Parameter], optimizers: list[Optimizer]) -> None:
    """UserError unless the optimizers together hold all of the weights that require gradients."""
    held = held_by(optimizers)
    if missing := [n for n, w in weights.items() if w.requires_grad and id(w) not in held]:
        raise _not_held(missing)


def _not_held(names: list[str]) -> UserError:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return UserError(
        f"the optimizer does not hold the masked {', '.join(map(repr, names[:3]))}{more}: make it "
        "from the parameters of this very model (after any deepcopy), and pass all optimizers as "
        "a list; set requires_grad_(False) on weights that are not trained"
    )
