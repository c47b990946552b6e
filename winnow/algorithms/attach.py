"""What a training loop of the user's own is handed in each round of ``wn.imp``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from winnow.errors import UserError
from winnow.mask import Mask
from winnow.selection import parameters
from winnow.sharding import local, part_like, whole
from winnow.sparsifying import Sparsified, check_same_model
from winnow.wrapped import StepCalls, found_inf, hookable


class Attach:
    """Call it with each optimizer before its first step; it gives the optimizer back.

    It attaches the round's mask, counts the steps that the first optimizer makes, and keeps the
    weights and buffers after step ``keep_at``. An optimizer may be in a trainer's wrapper
    (accelerate, Lightning). For loops that need it: ``round`` (0 is the dense
    network), ``start_step`` (the step of the schedule that this training starts from: k for a
    rewind to step k; the steps of all rounds before for "none"; else 0), ``steps`` so far.
    """

    def __init__(
        self,
        model: nn.Module,
        mask: Mask,
        *,
        index: int = 0,
        start_step: int = 0,
        keep_at: int | None = None,
    ) -> None:
        self.round = index
        self.start_step = start_step
        self.steps = 0
        self.kept: dict[str, Tensor] | None = None
        self._model = model
        self._mask = mask
        self._keep_at = keep_at
        self._seen: list[Optimizer] = []
        self._sparsified: Sparsified | None = None
        self._counters: list[RemovableHandle] = []
        self._calls = StepCalls()

    def __call__(self, optimizer: Optimizer) -> Optimizer:
        if any(optimizer is other for other in self._seen):
            return optimizer
        outermost = hookable(optimizer)[0]
        self._hold(optimizer)
        if not self._seen:
            untraced: Any = torch.compiler.disable  # a compiled step calls them as they are
            self._counters = [
                outermost.register_step_pre_hook(untraced(self._enter)),
                outermost.register_step_post_hook(untraced(self._count)),
            ]
        self._seen.append(optimizer)
        return optimizer

    @property
    def attached(self) -> bool:
        """Whether the loop has attached an optimizer."""
        return bool(self._seen)

    def check(self, rewind: str) -> None:
        """After the training: UserError unless it attached, removed weights are 0, and it reached
        the step to rewind to.
        """
        if not self.attached:
            raise UserError(
                f"train never called attach(optimizer) in round {self.round}: call it once, "
                "before the first step"
            )
        self._check_zeros()
        if self._keep_at and self.kept is None:
            raise UserError(
                f"round {self.round} took {self.steps} optimizer steps, fewer than "
                f"rewind={rewind!r} names: train longer or rewind to an earlier step"
            )

    def close(self) -> None:
        """Remove the hooks: the round is over."""
        for counter in self._counters:
            counter.remove()
        if self._sparsified is not None:
            self._sparsified.close()

    def _hold(self, optimizer: Optimizer) -> None:
        if self._sparsified is not None:
            self._sparsified.attach(optimizer)
        elif self.round == 0:  # dense: nothing to hold, so that it costs nothing
            everything = {id(parameter) for parameter in parameters(self._model).values()}
            check_same_model(self._weights(), everything, optimizer)
        else:
            self._sparsified = Sparsified(self._model, self._mask)
            self._sparsified.attach(optimizer)

    def _check_zeros(self) -> None:
        for name, weight in self._weights().items():
            removed = ~part_like(self._mask[name].to(weight.device), weight)
            if revived := int(local(weight.detach())[removed].count_nonzero()):
                raise UserError(
                    f"{revived} removed weights of {name!r} are not 0 after round {self.round}: "
                    "call attach with every optimizer, before its first step, and load no weights "
                    "that another mask kept"
                )

    def _weights(self) -> dict[str, nn.Parameter]:
        named = parameters(self._model)
        return {name: named[name] for name in self._mask}

    def _enter(self, optimizer: Optimizer, *_: object) -> None:
        self._calls.enter(optimizer)

    def _count(self, optimizer: Optimizer, *_: object) -> None:
        if not self._calls.leave(optimizer) or found_inf(optimizer):
            return
        self.steps += 1
        if self.steps == self._keep_at:
            state = self._model.state_dict()
            self.kept = {name: whole(tensor.detach()).clone() for name, tensor in state.items()}
