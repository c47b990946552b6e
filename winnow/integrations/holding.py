"""Holding a model sparse in a loop that somebody else runs.

A trainer calls the optimizer itself, often with a closure in which alone gradients exist. The hooks
of the optimizer see its steps; a callback says when gradients are complete (`before_step`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.algorithms.attach import Attach
from winnow.algorithms.dynamic.loop import Dynamic
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.selection import parameters
from winnow.sparsifying import Sparsified
from winnow.wrapped import held_by, hookable


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

    def before_step(self, optimizer: Optimizer) -> None:
        """Gradients are complete, not clipped yet, and ``optimizer`` is about to step."""
        ...

    def memory(self) -> dict[str, Any]:
        """``scalars`` and ``tensors`` that the method remembers."""
        ...

    def close(self) -> None:
        """Remove the hooks."""
        ...


class Fixed:
    """A mask that stays."""

    def __init__(
        self,
        model: nn.Module,
        mask: Mask,
        optimizers: Sequence[Optimizer],
        averages: Sequence[nn.Module] = (),
    ) -> None:
        self._held = Sparsified(model, mask, optimizers, averages)
        named = parameters(model)
        first, *_ = holders(optimizers, [named[name] for name in mask]) or optimizers
        self._handle = hookable(first)[0].register_step_post_hook(self._after)
        self.made = 0

    @property
    def mask(self) -> Mask:
        return self._held.mask

    def before_step(self, optimizer: Optimizer) -> None:
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

    def before_step(self, optimizer: Optimizer) -> None:
        pass

    def memory(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


class Changing:
    """A dynamic method, whose mask changes after a step of the optimizers or in place of one.

    In place of one it reads gradients as they are in the optimizer's call, clipped by then; so
    those that it is to read are put back as they were `before_step`. (Clipped by value, many are
    equal.)
    """

    def __init__(self, optimizers: Sequence[Optimizer], make: Callable[[], Dynamic]) -> None:
        self._unclipped: dict[int, list[tuple[Tensor, Tensor]]] = {}
        self._handles = [
            hookable(one)[0].register_step_pre_hook(self._at_call) for one in optimizers
        ]
        self._dynamic = make()  # its hooks run after those

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

    def before_step(self, optimizer: Optimizer) -> None:
        method, timing = self._dynamic.method, self._dynamic.timing
        if method.when == "instead" and timing.due(self.made):
            self._unclipped[id(hookable(optimizer)[0])] = [
                (parameter, parameter.grad.clone())
                for group in optimizer.param_groups
                for parameter in group["params"]
                if parameter.grad is not None
            ]

    def memory(self) -> dict[str, Any]:
        saved = self._dynamic.state_dict()
        return {"scalars": saved["scalars"], "tensors": saved["tensors"]}

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._dynamic.close()

    def _at_call(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """The optimizer is called, perhaps with a closure that computes and clips gradients."""
        own, *given = args
        closure = given[0] if given else kwargs.get("closure")
        if closure is None:
            self._put_back(optimizer)
            return None

        def then_put_back() -> Any:
            loss = closure()
            self._put_back(optimizer)
            return loss

        return (own, *given[1:]), {**kwargs, "closure": then_put_back}

    @torch.no_grad()
    def _put_back(self, optimizer: Optimizer) -> None:
        for parameter, gradient in self._unclipped.pop(id(optimizer), ()):
            if parameter.grad is not None:
                parameter.grad.copy_(gradient)


def holders(optimizers: Iterable[Any], weights: Iterable[nn.Parameter]) -> list[Optimizer]:
    """Those of the optimizers that hold one of the weights at least."""
    wanted = {id(weight) for weight in weights}
    return [optimizer for optimizer in optimizers if held_by([optimizer]) & wanted]


def is_held(optimizer: Optimizer) -> bool:
    """Whether another callback of Winnow holds it."""
    (outermost, *_) = hookable(optimizer)
    hooks = [
        *outermost._optimizer_step_pre_hooks.values(),
        *outermost._optimizer_step_post_hooks.values(),
    ]
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
