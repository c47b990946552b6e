"""What the callbacks of all trainers share: their arguments, and the life of a sparse training."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from winnow.algorithms.at_init import Densities
from winnow.algorithms.attach import Attach
from winnow.algorithms.dynamic.loop import Dynamic, dynamic
from winnow.criteria.base import Criterion
from winnow.errors import UserError
from winnow.integrations.first import LossOf, agreed, needs_batches, placed, scored_mask
from winnow.integrations.holding import (
    Attached,
    Driven,
    Fixed,
    Holding,
    holders,
    is_held,
    unwrapped,
    zero_removed,
)
from winnow.integrations.plan import Plan, planned
from winnow.integrations.record import Record
from winnow.integrations.resuming import kept_aside
from winnow.mask import Mask
from winnow.selection import Params, parameters, prunable
from winnow.ticket import Ticket


@dataclass(frozen=True)
class Place:
    """Where a training begins: what a trainer's callback knows of it.

    ``loss``: makes the model's own loss, to score by. ``batches``: (n, seed) -> the first n
    batches of the training. ``steps``: optimizer steps of the whole training; None if unknown, for
    the reason ``unknown``. ``per_epoch``: those of an epoch, or None.
    """

    model: nn.Module
    optimizers: Sequence[Any]
    loss: Callable[[], LossOf]
    batches: Callable[[int, int], list[Any]]
    steps: int | None
    per_epoch: int | None
    unknown: str = ""


class SparseTraining:
    """Arguments of every ``SparseCallback``.

    Give one of three:

    - ``mask``: a `Mask`, a `Ticket`, the path of either, or the ``attach`` of ``wn.imp``'s training
      loop. A ticket's weights are loaded before the first step: ``weights`` is "rewind", "final" or
      "none" (train the weights that the model has). A mask made for a part of the model (a network
      inside the module that trains it) is found its place.
    - ``criterion`` and ``density``: pruning before the first step, by the model's own loss on the
      first ``batches`` of the training data. ``options``: those of ``wn.prune_at_init`` (``scope``,
      ``rounds``, ``least``, …) and of the criterion.
    - ``method`` and ``density``: a mask that changes: gradual, set, deep-r, dsr, snfs or rigl.
      ``options``: those of the method, as in ``wn.dynamic``. ``steps``: the length of the training,
      "30000it"; default what the trainer plans.

    ``params``, ``ignore``: what competes, as in ``wn.prune_at_init`` and ``wn.dynamic``. ``seed``:
    of what is drawn. ``mask`` (a property): the mask now, or that of the last training.

    Raises UserError at once for what cannot be, and when the training begins for what does not fit
    it.
    """

    def __init__(
        self,
        mask: Mask | Ticket | Attach | str | os.PathLike[str] | None = None,
        *,
        criterion: str | Criterion | None = None,
        method: str | None = None,
        density: Densities | None = None,
        params: Params | None = None,
        ignore: str | Iterable[str] | None = None,
        weights: str = "rewind",
        batches: int = 1,
        steps: str | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self._adopt(
            planned(
                mask, criterion=criterion, method=method, density=density, params=params,
                ignore=ignore, weights=weights, batches=batches, steps=steps, seed=seed,
                options=options,
            )
        )  # fmt: skip

    @property
    def mask(self) -> Mask | None:
        """The mask now, that of the last training, or None before any."""
        if self._holding is not None:
            return self._holding.mask
        return None if self._last is None else self._last.mask

    def _adopt(self, plan: Plan) -> None:
        self._plan = plan
        self._holding: Holding | None = None
        self._last: Record | None = None
        self._per_epoch: int | None = None
        self._global_step = 0

    def close(self) -> None:
        """Remove the hooks: for a training that failed. One that ends does it itself."""
        if self._holding is not None:
            self._last = self._record()
            self._holding.close()
            self._holding = None

    def _begin(self, place: Place, record: Record | None = None) -> None:
        """Hold the model from here on. ``record``: what its checkpoint carries, if resumed."""
        self.close()
        if any(is_held(unwrapped(optimizer)) for optimizer in place.optimizers):
            raise UserError(
                "this trainer has two SparseCallbacks: give it one, with the mask of all weights "
                "(masks of several parts are one: wn.Mask({**one, **other}))"
            )
        if record is not None:
            record.check_same(self._plan.told())
        self._per_epoch = place.per_epoch if record is None else record.per_epoch
        self._holding = self._made(place, record)

    def _made(self, place: Place, record: Record | None) -> Holding:
        plan = self._plan
        if isinstance(plan.given, Attach):
            return Attached(plan.given, [unwrapped(one) for one in place.optimizers])
        if plan.method is not None:
            return Driven(self._dynamic(place, record))
        mask = self._first_mask(place) if record is None else record.mask
        named = parameters(place.model)
        held = holders(place.optimizers, [named[name] for name in mask if name in named])
        made = Fixed(place.model, mask, held or [unwrapped(one) for one in place.optimizers])
        made.made = 0 if record is None else record.made
        return made

    def _first_mask(self, place: Place) -> Mask:
        plan = self._plan
        if plan.criterion is None:
            if not isinstance(plan.given, Mask | Ticket):
                raise UserError(
                    "the checkpoint's mask is not at hand: train on from that checkpoint"
                )
            mask, part = placed(plan.given, place.model)
            if isinstance(plan.given, Ticket):
                plan.given.apply(part, plan.weights)
            return mask
        batches = place.batches(plan.batches, plan.seed) if needs_batches(plan) else []
        return agreed(scored_mask(plan, place.model, place.loss, batches))

    def _dynamic(self, place: Place, record: Record | None) -> Dynamic:
        plan = self._plan
        assert plan.method is not None
        per_epoch = self._per_epoch
        steps = self._steps(place, record)
        options: dict[str, Any] = {"params": plan.params, "ignore": plan.ignore, **plan.options}
        if record is not None:  # what competed then
            options |= {"params": list(record.mask), "ignore": []}
        weights = prunable(place.model, options["params"])
        optimizer = self._one_optimizer(place, list(weights.values()))
        with kept_aside(weights, optimizer if record is not None else None):
            made = dynamic(
                place.model, plan.method, optimizer=optimizer, density=plan.number, steps=steps,
                per_epoch=per_epoch, seed=plan.seed, **options,
            )  # fmt: skip
        if record is not None:
            made.load_state_dict(
                {
                    "made": record.made,
                    "mask": dict(record.mask),
                    "scalars": record.scalars,
                    "tensors": record.tensors,
                }
            )
        return made

    def _one_optimizer(self, place: Place, weights: list[nn.Parameter]) -> Optimizer:
        held = holders(place.optimizers, weights)
        if len(held) > 1:
            kinds = " and ".join(type(one).__name__ for one in held)
            raise UserError(
                f"{self._plan.method} counts the steps of one optimizer, and {kinds} hold weights "
                "that compete: choose those of one of them with params="
            )
        return held[0] if held else unwrapped(place.optimizers[0])

    def _steps(self, place: Place, record: Record | None) -> str:
        """The length of the training as an amount."""
        if self._plan.steps is not None:
            return self._plan.steps
        if record is not None and record.planned is not None:
            if place.steps not in (None, record.planned):
                warnings.warn(
                    f"{self._plan.method} was planned for {record.planned} steps and goes on so, "
                    f"though the trainer now plans {place.steps}: to plan anew, pass "
                    f"steps='{place.steps}it'",
                    stacklevel=3,
                )
            return f"{record.planned}it"
        if place.steps is None:
            raise UserError(
                f"{self._plan.method} needs the length of the training, which is not known: "
                f"{place.unknown}. Pass steps=, e.g. steps='30000it'"
            )
        return f"{place.steps}it"

    def _record(self) -> Record | None:
        """What a checkpoint is to carry; None if there is nothing yet."""
        holding = self._holding
        if holding is None:
            return self._last
        timing = holding.timing_steps if isinstance(holding, Driven) else None
        memory: Mapping[str, Any] = holding.memory()
        return Record(
            self._plan.told(), holding.mask, holding.made, self._global_step, timing,
            self._per_epoch, **memory,
        )  # fmt: skip

    def _finish(self) -> None:
        """The training is over: keep its mask, tell what it did not reach, remove the hooks."""
        holding = self._holding
        self.close()
        if isinstance(holding, Driven) and holding.short_of is not None:
            warnings.warn(
                f"the training ended after {holding.made} steps, before {self._plan.method} had "
                f"reached its density {holding.short_of:g}: {holding.mask.density:.4g} is left. "
                "Train for as long as planned, or give end=, e.g. end='1000it'",
                stacklevel=3,
            )

    def _check_zeros(self, model: nn.Module) -> None:
        """After a training: what others wrote over the zeros (averages of weights) is zeroed."""
        if self._last is None:
            return
        if revived := zero_removed(model, self._last.mask):
            warnings.warn(
                f"{revived} removed weights were not zero after the training and have been set to "
                "zero: something wrote to the weights beside the optimizer, e.g. averages of "
                "weights (EMA, SWA) under a mask that changed. Test the network again",
                stacklevel=3,
            )
