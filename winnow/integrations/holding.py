"""Holding a model sparse in a loop that somebody else runs: before a step, and after it.

A trainer calls the optimizer itself, often with a closure in which alone gradients exist. So a
callback says when they are complete (`before_step`), and hooks of the optimizer see its steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from winnow.algorithms.attach import Attach
from winnow.algorithms.dynamic.loop import Dynamic
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.selection import parameters
from winnow.sparsifying import Sparsified

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


class Holding(Protocol):
    """What holds the zeros of a model while a trainer trains it."""

    @property
    def made(self) -> int:
        """Optimizer steps so far, and updates that took their place."""
        ...

    @property
    def mask(self) -> Mask:
        """The mask now."""
        ...

    def before_step(self, optimizer: Optimizer, scaler: Any = None) -> None:
        """Gradients are complete and ``optimizer`` is about to step."""
        ...

    def memory(self) -> dict[str, Any]:
        """``scalars`` and ``tensors`` that the method remembers."""
        ...

    def close(self) -> None:
        """Remove the hooks."""
        ...


class Fixed:
    """A mask that stays."""

    def __init__(self, model: nn.Module, mask: Mask, optimizers: Sequence[Optimizer]) -> None:
        self._held = Sparsified(model, mask, optimizers)
        self._handle = optimizers[0].register_step_post_hook(self._after)
        self.made = 0

    @property
    def mask(self) -> Mask:
        return self._held.mask

    def before_step(self, optimizer: Optimizer, scaler: Any = None) -> None:
        pass

    def memory(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self._handle.remove()
        self._held.close()

    def _after(self, *_: object) -> None:
        self.made += 1


class Attached:
    """A round of ``wn.imp``, which made the mask, keeps what is rewound to and closes."""

    def __init__(self, model: nn.Module, attach: Attach, optimizers: Sequence[Optimizer]) -> None:
        self._attach = attach
        self._mask = _mask_within(model, attach)
        refused: UserError | None = None
        for optimizer in optimizers:
            try:
                attach(optimizer)
            except UserError as error:  # it holds no masked weight; another one may
                refused = error
        if refused is not None and not attach.attached:
            raise refused

    @property
    def made(self) -> int:
        return self._attach.steps

    @property
    def mask(self) -> Mask:
        return self._mask

    def before_step(self, optimizer: Optimizer, scaler: Any = None) -> None:
        pass

    def memory(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


class Changing:
    """A dynamic method, whose mask changes after a step of the optimizer or in place of one.

    Where an update takes the place of a step, the optimizer finds no gradients when it is called:
    parameters without one stay where they are. That they do is checked each time. They are taken
    away as late as that, after the trainer's closure, because clipping by value fails without any.
    """

    def __init__(self, dynamic: Dynamic) -> None:
        if isinstance(dynamic.optimizer, LBFGS):
            raise UserError(
                f"{dynamic.method.name} changes the mask between steps, and LBFGS evaluates the "
                "loss several times within one: train with another optimizer"
            )
        self._dynamic = dynamic
        self._before: Tensor | None = None
        self._handles = [
            dynamic.optimizer.register_step_pre_hook(self._at_call),
            dynamic.optimizer.register_step_post_hook(self._after),
        ]

    @property
    def made(self) -> int:
        return self._dynamic.made

    @property
    def mask(self) -> Mask:
        return self._dynamic.mask

    @property
    def planned(self) -> int:
        """The length of the training that its updates are spread over."""
        return self._dynamic.timing.steps

    @property
    def short_of(self) -> float | None:
        """The density that it is still to reach, when its training ends here; None if it has."""
        method, timing = self._dynamic.method, self._dynamic.timing
        last = timing.last
        return method.density if last is not None and self.made < last else None

    def before_step(self, optimizer: Optimizer, scaler: Any = None) -> None:
        if optimizer is not self._dynamic.optimizer or not self._due():
            return
        if scaler is not None:
            _unscale(scaler, optimizer)
        if _readable(optimizer, overflows=scaler is not None):
            self._dynamic.step()
            self._before = _fingerprint(optimizer)

    def memory(self) -> dict[str, Any]:
        saved = self._dynamic.state_dict()
        return {"scalars": saved["scalars"], "tensors": saved["tensors"]}

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._dynamic.close()

    def _due(self) -> bool:
        """Whether an update takes the place of the coming step."""
        dynamic = self._dynamic
        return dynamic.method.when == "instead" and dynamic.timing.due(dynamic.made)

    def _at_call(
        self, _: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """The optimizer is called, perhaps with a closure that computes the gradients."""
        own, *given = args
        closure = given[0] if given else kwargs.get("closure")
        if closure is None:
            self._take_away()
            return None

        def then_take_away() -> Any:
            loss = closure()
            self._take_away()
            return loss

        return (own, *given[1:]), {**kwargs, "closure": then_take_away}

    def _take_away(self) -> None:
        """Leave the optimizer nothing to step by, if an update was made."""
        if self._before is not None:
            for parameter in _parameters(self._dynamic.optimizer):
                parameter.grad = None

    def _after(self, *_: object) -> None:
        """The optimizer has been called."""
        if self._before is not None:
            before, self._before = self._before, None
            if not torch.equal(before, _fingerprint(self._dynamic.optimizer)):
                raise UserError(
                    f"{type(self._dynamic.optimizer).__name__} moves parameters that have no "
                    f"gradient, and {self._dynamic.method.name}'s updates take the place of its "
                    "steps: train with an optimizer that leaves them, as those of torch do"
                )
        elif not self._due():  # else there was nothing to read: the update waits
            self._dynamic.step(_stepped)


def unwrapped(optimizer: Any) -> Optimizer:
    """The optimizer inside the wrappers of accelerate and Lightning, whose hooks are called."""
    inner = getattr(optimizer, "optimizer", None)
    return unwrapped(inner) if hasattr(inner, "param_groups") else optimizer


def holders(optimizers: Iterable[Any], weights: Iterable[nn.Parameter]) -> list[Optimizer]:
    """Those of the optimizers, unwrapped, that hold one of the weights at least."""
    wanted = {id(weight) for weight in weights}
    opened = [unwrapped(optimizer) for optimizer in optimizers]
    return [o for o in opened if any(id(parameter) in wanted for parameter in _parameters(o))]


def is_held(optimizer: Optimizer) -> bool:
    """Whether another callback of Winnow holds it."""
    hooks = optimizer._optimizer_step_post_hooks.values()
    return any(isinstance(getattr(hook, "__self__", None), Fixed | Changing) for hook in hooks)


@torch.no_grad()
def zero_removed(model: nn.Module, mask: Mask) -> int:
    """Set removed weights to zero, whoever wrote them; how many were not."""
    named = parameters(model)
    count = 0
    for name in mask:
        removed = ~mask[name].to(named[name].device)
        revived = removed & (named[name] != 0)
        count += int(revived.count_nonzero())
        named[name].masked_fill_(revived, 0)
    return count


def _mask_within(model: nn.Module, attach: Attach) -> Mask:
    """The round's mask under the names of the model that is trained, which may contain the round's.

    UserError unless it does.
    """
    names = {id(weight): name for name, weight in reversed(parameters(model).items())}
    own = parameters(attach._model)
    if strangers := [name for name in attach._mask if id(own[name]) not in names]:
        raise UserError(
            f"round {attach.round} of wn.imp is to train its model, and the trainer has another "
            f"one: {strangers[0]!r} is not in it. Train what train(model, attach) is given"
        )
    return Mask({names[id(own[name])]: attach._mask[name] for name in attach._mask})


def _stepped() -> None:
    """The trainer has called the optimizer's step itself."""


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _readable(optimizer: Optimizer, overflows: bool) -> bool:
    """Whether there are gradients: not after a batch that the trainer left out, nor after one that
    overflowed in half precision, which a scaler leaves out.
    """
    found = [p.grad for p in _parameters(optimizer) if p.grad is not None]
    return bool(found) and not (overflows and any(not bool(g.isfinite().all()) for g in found))


def _unscale(scaler: Any, optimizer: Optimizer) -> None:
    """What a scaler's step would do, and cannot when there are no gradients left."""
    try:
        scaler.unscale_(optimizer)
    except RuntimeError as error:
        if "already been called" not in str(error):  # by the trainer, in order to clip
            raise


@torch.no_grad()
def _fingerprint(optimizer: Optimizer) -> Tensor:
    """The sum of the bits of each parameter."""
    sums = []
    for parameter in _parameters(optimizer):
        bits = parameter.detach().contiguous()
        if bits.is_floating_point():
            bits = bits.view(_INTEGERS[bits.element_size()])
        sums.append(bits.sum(dtype=torch.int64).cpu())
    return torch.stack(sums)
