"""What happens around a pruning: how long networks train before it, and how they go on after it.

Rewinding to a step: Frankle et al. 2019, "Stabilizing the Lottery Ticket Hypothesis"; its special
case of the first steps is late resetting. Rewinding the learning rate: Renda et al. 2020. Training
only partly before pruning: the interpolation between pruning at initialisation and after training
that the data-dependent pruning paper proposes (section 5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from winnow.amounts import checked_steps, iterations
from winnow.errors import UserError
from winnow.experiment.plan.resolve import iterations_per_epoch
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.runs import Pruning, Run, Start
from winnow.experiment.store.images import Source

WORDS = ("rewind", "train", "fine_tune", "optimizer")
"""Their names in recipes, beside a method's name or in ``prune``."""

Named = Callable[[str], str]


@dataclass(frozen=True)
class Restart:
    """What a pruned network trains from, for how long, and when its parent is pruned.

    ``rewind``: ``init``, ``step`` (the dense run after ``step`` iterations: its weights, batch norm
    statistics, place in the schedule and in the order of data), ``none`` (the parent's weights; the
    schedule goes on) or ``lr`` (the same; the schedule's last ``fine_tune`` iterations again).
    ``train``: iterations before a network is pruned, None for all: a rewound one trains up to that
    iteration again, the others so many more. ``fine_tune``: iterations of training after ``none``
    and ``lr``. ``optimizer``: ``fresh``, or ``rewound`` with the weights.
    """

    rewind: str
    fine_tune: int
    step: int = 0
    train: int | None = None
    optimizer: str = "fresh"

    @property
    def goes_on(self) -> bool:
        """Whether networks keep the weights that they had when they were pruned."""
        return self.rewind in ("none", "lr")

    def pruned_at(self, parent: Run) -> int | None:
        """The iteration whose weights of ``parent`` are scored, None for its end."""
        if self.train is None:
            return None
        return parent.begin + self.train if self.goes_on else self.train

    def run(self, dense: Run, parent: Run, pruning: Pruning) -> Run:
        """The training of a network that is pruned from ``parent``."""
        run = replace(dense, pruning=pruning)
        if self.rewind == "init":
            return run
        if self.rewind == "step":
            start = Start("state", dense.id, self.step, self.optimizer)
            return replace(run, start=start, begin=self.step)
        at = parent.end if pruning.step is None else pruning.step
        start = Start("state", parent.id, at, self.optimizer)
        if pruning.step is None and self.optimizer == "fresh":  # the end has no optimizer with it
            start = Start("final", parent.id)
        if self.rewind == "lr":
            return replace(run, start=start, begin=dense.steps - self.fine_tune)
        # Beyond the schedule its last learning rate goes on.
        return replace(run, start=start, begin=at, end=at + self.fine_tune)


def restart(
    written: Mapping[str, Any],
    recipe: Recipe,
    source: Source,
    steps: int,
    rounds: int,
    of: str = "",
) -> Restart:
    """What ``written`` (some of `WORDS`, and rewind) says, in iterations.

    ``steps``: how long the dense network trains. ``rounds``: how many prunings follow one another.
    ``of``: the method that it stands beside, empty for the recipe's ``prune``. UserError for what
    does not go together.
    """

    def name(field: str) -> str:
        return f"{field} of {of}" if of else f"prune.{field}"

    per_epoch = iterations_per_epoch(recipe, source)

    def count(field: str, other: str = "") -> int | None:
        value = written.get(field)
        return None if value is None else iterations(_amount(value, name(field), other), per_epoch)

    rewind, step, tune = str(written["rewind"]), 0, count("fine_tune")
    if rewind not in ("init", "none", "lr"):
        step = count("rewind", "; or init, none, lr") or 0
        rewind = "step" if step else "init"
    optimizer = written.get("optimizer", "fresh")
    made = Restart(rewind, steps if tune is None else tune, step, count("train"), optimizer)
    _check_step(made, steps, name, written)
    _check_train(made, steps, rounds, name, written)
    _check_fine_tune(made, steps, name, written)
    _check_optimizer(made, recipe, name, written)
    _check_schedule(made, recipe, steps, rounds, name)
    return made


def _amount(value: Any, where: str, other: str) -> str:
    try:
        return checked_steps(value)
    except UserError as error:
        raise UserError(f"{where} {error}{other}") from None


def _check_step(one: Restart, steps: int, name: Named, written: Mapping[str, Any]) -> None:
    if one.step >= steps:
        raise UserError(
            f"{name('rewind')} is {written['rewind']}, iteration {one.step}, but training ends at "
            f"{steps}: rewind to an earlier step"
        )


def _check_train(
    one: Restart, steps: int, rounds: int, name: Named, written: Mapping[str, Any]
) -> None:
    if one.train is None:
        return
    said = f"{name('train')} is {written['train']}, iteration {one.train}"
    if one.train >= steps:
        raise UserError(
            f"{said}, and training ends at {steps}: leave train out to prune at the end"
        )
    if one.train < one.step:
        raise UserError(
            f"{said}, before {name('rewind')} {written['rewind']}: prune at that step or later, or "
            "rewind to an earlier one"
        )
    if rounds > 1 and one.train == one.step:
        raise UserError(
            f"{said}, and {name('rewind')} is {written['rewind']}: networks would be pruned again "
            "before they have trained. Train longer, or take one-shot pruning"
        )
    if rounds > 1 and one.goes_on and one.train > one.fine_tune:
        raise UserError(
            f"{said}, but {name('fine_tune')} ends later rounds after {one.fine_tune}: train less "
            "before pruning, or fine-tune longer"
        )


def _check_fine_tune(one: Restart, steps: int, name: Named, written: Mapping[str, Any]) -> None:
    tune = written.get("fine_tune")
    if tune is None:
        return
    if not one.goes_on:
        raise UserError(
            f"{name('fine_tune')} is {tune}, but {name('rewind')} {written['rewind']} trains what "
            "is left of the schedule: leave fine_tune out, or write rewind: none or lr"
        )
    if one.fine_tune < 1:
        raise UserError(f"{name('fine_tune')} is {tune}: at least one iteration is needed")
    if one.rewind == "lr" and one.fine_tune > steps:
        raise UserError(
            f"{name('fine_tune')} is {tune}, {one.fine_tune} iterations, but {name('rewind')} lr "
            f"repeats the end of a schedule of {steps}: fine-tune at most so long"
        )


def _check_optimizer(one: Restart, recipe: Recipe, name: Named, written: Mapping[str, Any]) -> None:
    if one.optimizer not in ("fresh", "rewound"):
        raise UserError(f"{name('optimizer')} is {one.optimizer!r}: write fresh or rewound")
    if one.optimizer == "fresh":
        return
    if one.rewind == "init":
        raise UserError(
            f"{name('optimizer')} is rewound, but at {name('rewind')} {written['rewind']} no "
            "optimizer has stepped yet: leave optimizer out, or rewind to a step"
        )
    if recipe.train.optimizer.name == "sgd":
        raise UserError(
            f"{name('optimizer')} is rewound, but train.optimizer sgd remembers nothing: leave it "
            "out, or take momentum, nesterov, adam or adamw"
        )


def _check_schedule(one: Restart, recipe: Recipe, steps: int, rounds: int, name: Named) -> None:
    """Nothing may train where a cosine schedule has ended, as its learning rate is 0 there."""
    if one.rewind != "none" or recipe.train.schedule.name != "cosine":
        return
    before = steps if one.train is None else rounds * one.train
    if before + one.fine_tune > steps:
        raise UserError(
            f"{name('rewind')} is none, which continues at the schedule's last learning rate, and "
            "train.schedule cosine ends at 0: write rewind: lr, take another schedule, or end by "
            f"iteration {steps} with train and fine_tune"
        )
