"""What begins to hold a model when a trainer begins to train it, or goes on from a checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from winnow.algorithms.attach import Attach
from winnow.algorithms.dynamic.loop import Dynamic, dynamic
from winnow.errors import UserError
from winnow.integrations.carried import Carried
from winnow.integrations.first import LossOf, agreed, needs_batches, placed, scored_mask
from winnow.integrations.holding import Attached, Changing, Fixed, Holding, holders, unwrapped
from winnow.integrations.resuming import kept_aside
from winnow.integrations.wanted import Wanted
from winnow.mask import Mask
from winnow.selection import parameters, prunable
from winnow.ticket import Ticket


@dataclass(frozen=True)
class Beginning:
    """What a trainer's callback knows when the training begins.

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


def held(wanted: Wanted, at: Beginning, carried: Carried | None = None) -> Holding:
    """Hold the model as it is wanted. ``carried``: by the checkpoint that its weights are from.

    Raises UserError for what does not fit the model, its optimizers or its training.
    """
    _check_whole(at.model)
    if isinstance(wanted.given, Attach):
        return Attached(at.model, wanted.given, [unwrapped(one) for one in at.optimizers])
    if wanted.method is not None:
        return Changing(_dynamic(wanted, at, carried))
    mask = _first_mask(wanted, at) if carried is None else carried.mask
    named = parameters(at.model)
    optimizers = holders(at.optimizers, [named[name] for name in mask if name in named])
    made = Fixed(at.model, mask, optimizers or [unwrapped(one) for one in at.optimizers])
    made.made = 0 if carried is None else carried.made
    return made


def _check_whole(model: nn.Module) -> None:
    """UserError for parameters that lie in shards: FSDP's are DTensors, DeepSpeed's have an id."""
    for name, parameter in parameters(model).items():
        if hasattr(parameter, "placements") or hasattr(parameter, "ds_id"):
            raise UserError(
                f"{name!r} is split into shards (FSDP, DeepSpeed), whose masks SparseCallback does "
                "not have: train with DDP or on one device"
            )


def _first_mask(wanted: Wanted, at: Beginning) -> Mask:
    if wanted.criterion is not None:
        batches = at.batches(wanted.batches, wanted.seed) if needs_batches(wanted) else []
        return agreed(scored_mask(wanted, at.model, at.loss, batches))
    if not isinstance(wanted.given, Mask | Ticket):
        raise UserError("the checkpoint's mask is not at hand: train on from that checkpoint")
    mask, part = placed(wanted.given, at.model)
    if isinstance(wanted.given, Ticket):
        wanted.given.apply(part, wanted.weights)
    return mask


def _dynamic(wanted: Wanted, at: Beginning, carried: Carried | None) -> Dynamic:
    assert wanted.method is not None
    options = {"params": wanted.params, "ignore": wanted.ignore, **wanted.options}
    options |= {"density": wanted.number, "seed": wanted.seed, "steps": _steps(wanted, at, carried)}
    if carried is None:
        options["per_epoch"] = at.per_epoch
        optimizer = _one_optimizer(wanted, at, prunable(at.model, wanted.params))
        return dynamic(at.model, wanted.method, optimizer=optimizer, **options)
    options |= {"params": list(carried.mask), "ignore": [], "per_epoch": carried.per_epoch}
    weights = prunable(at.model, options["params"])  # what competed then
    optimizer = _one_optimizer(wanted, at, weights)
    with kept_aside(weights, optimizer):
        made = dynamic(at.model, wanted.method, optimizer=optimizer, **options)
    made.load_state_dict(
        {
            "made": carried.made,
            "mask": dict(carried.mask),
            "scalars": carried.scalars,
            "tensors": carried.tensors,
        }
    )
    return made


def _one_optimizer(wanted: Wanted, at: Beginning, weights: dict[str, nn.Parameter]) -> Optimizer:
    """The optimizer whose steps a method counts."""
    found = holders(at.optimizers, weights.values())
    if len(found) > 1:
        kinds = " and ".join(type(one).__name__ for one in found)
        raise UserError(
            f"{wanted.method} counts the steps of one optimizer, and {kinds} hold weights that "
            "compete: choose those of one of them with params="
        )
    return found[0] if found else unwrapped(at.optimizers[0])


def _steps(wanted: Wanted, at: Beginning, carried: Carried | None) -> str:
    """The length of the training as an amount."""
    if wanted.steps is not None:
        return wanted.steps
    if carried is not None and carried.planned is not None:
        if at.steps not in (None, carried.planned):
            warnings.warn(
                f"{wanted.method} was planned for {carried.planned} steps and goes on so, though "
                f"the trainer now plans {at.steps}: to plan anew, pass steps='{at.steps}it'",
                stacklevel=2,
            )
        return f"{carried.planned}it"
    if at.steps is None:
        raise UserError(
            f"{wanted.method} needs the length of the training, which is not known: {at.unknown}. "
            "Pass steps=, e.g. steps='30000it'"
        )
    return f"{at.steps}it"
