"""Iterations of a training, as its optimizers' own step hooks tell them.

Whoever calls ``optimizer.step()``, a loop, a trainer, a gradient scaler or accelerate's wrapper,
and however often it is called in vain: an iteration is a step that is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from winnow.errors import UserError
from winnow.sharding import local
from winnow.wrapped import StepCalls, found_inf, hookable

Closure = Callable[[], Any]


class Iterations:
    """Calls ``begin`` before the first step of an iteration and ``end`` after its last.

    ``begin`` finds this iteration's gradients in ``.grad``, those of a closure as well. Where it
    answers True, the optimizers do not move in this iteration: they see no gradients, which leaves
    weights and slots as they are (UserError for an optimizer that moves all the same). With several
    optimizers an iteration is over when each has made a step, or when one makes its next.
    """

    def __init__(
        self,
        optimizers: Sequence[Optimizer],
        begin: Callable[[], bool],
        end: Callable[[], None],
    ) -> None:
        self._begin, self._end = begin, end
        self._number = len(optimizers)
        self._stepped: set[int] = set()
        self._still = False
        self._hidden: list[tuple[Tensor, Tensor | None]] = []
        self._before_it: dict[int, Tensor] = {}
        self._calls = StepCalls()
        self._handles = []
        untraced: Any = torch.compiler.disable  # a compiled step calls them as they are
        for optimizer in optimizers:
            outermost = hookable(optimizer)[0]
            self._handles.append(outermost.register_step_pre_hook(untraced(self._before)))
            self._handles.append(outermost.register_step_post_hook(untraced(self._after)))

    def finish(self) -> None:
        """End an iteration in which some optimizers made no step, e.g. for infinite gradients."""
        if self._stepped:
            self._show()
            self._stepped.clear()
            self._end()

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        if not self._calls.enter(optimizer):
            return None
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            raise UserError(
                "the optimizer's step is being captured in a CUDA graph, which would replay it "
                "without the updates of the mask: capture the forward and backward pass alone"
            )
        if found_inf(optimizer):
            return None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._enter(optimizer)
            return None
        within = self._within(optimizer, closure)
        if len(args) > 1:
            return (args[0], within, *args[2:]), kwargs
        return args, {**kwargs, "closure": within}

    def _within(self, optimizer: Optimizer, closure: Closure) -> Closure:
        """The closure, where gradients come into being, and what there is to do with them."""
        entered = False

        def within() -> Any:
            nonlocal entered
            found = closure()
            if not entered:
                entered = True
                with torch.no_grad():
                    self._enter(optimizer)
            elif self._still:
                self._hide(optimizer)
            return found

        return within

    def _enter(self, optimizer: Optimizer) -> None:
        if id(optimizer) in self._stepped:
            self.finish()
        if not self._stepped:
            self._still = self._begin()
        self._stepped.add(id(optimizer))
        self._before_it.pop(id(optimizer), None)  # of a step that failed
        if self._still:
            self._before_it[id(optimizer)] = _fingerprint(optimizer)
            self._hide(optimizer)

    def _after(self, optimizer: Optimizer, *_: object) -> None:
        if not self._calls.leave(optimizer) or id(optimizer) not in self._stepped:
            return
        self._check_still(optimizer)
        self._show()
        if len(self._stepped) == self._number:
            self.finish()

    def _check_still(self, optimizer: Optimizer) -> None:
        before = self._before_it.pop(id(optimizer), None)
        if before is not None and not torch.equal(before, _fingerprint(optimizer)):
            raise UserError(
                f"{type(optimizer).__name__} moves parameters that have no gradient, and updates "
                "of the mask that take the place of its step need it to stand still: pass another "
                "optimizer, or a method that changes the mask after steps, e.g. 'set'"
            )

    def _hide(self, optimizer: Optimizer) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._hidden.append((parameter, parameter.grad))
                    parameter.grad = None

    def _show(self) -> None:
        for parameter, gradient in reversed(self._hidden):  # the latest, of several
            if parameter.grad is None:  # else newer ones came after a step that failed
                parameter.grad = gradient
        self._hidden.clear()


@torch.no_grad()
def _fingerprint(optimizer: Optimizer) -> Tensor:
    """Two sums of each parameter that the optimizer holds: of a shard, of this rank's part."""
    parts = [local(p) for group in optimizer.param_groups for p in group["params"]]
    sums = [total for part in parts for total in (part.sum(), part.abs().sum())]
    return torch.stack([total.float().cpu() for total in sums]).nan_to_num()
