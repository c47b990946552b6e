"""What happens around a pruning: how long networks train before it, and how they go on after it.

Rewinding to a step: Frankle et al. 2019, "Stabilizing the Lottery Ticket Hypothesis"; its special
case of the first steps is late resetting. Rewinding the learning rate: Renda et al. 2020. Training
only partly before pruning: the interpolation between pruning at initialisation and after training
that the data-dependent pruning paper proposes (section 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from winnow.amounts import checked_steps, iterations
from winnow.errors import UserError
from winnow.experiment.plan.setting import Setting
from winnow.experiment.runs import Pruning, Run, Start

RESTART_WORDS = ("rewind", "train", "fine_tune", "optimizer")
"""Their names in recipes, beside a method's name or in ``prune``."""


@dataclass(frozen=True)
class Restart:
    """What a pruned network trains from, for how long, and when its parent is pruned.

    ``rewind``: ``init``, ``step`` (the dense run after ``step`` iterations: its weights, batch norm
    statistics, place in the schedule and in the order of data), ``none`` (the parent's weights; the
    schedule goes on) or ``lr`` (the same; the schedule's last ``fine_tune`` iterations again).
    ``train``: iterations before a network is pruned, None for all: a rewound one trains up to that
    iteration again, the others so many more. ``fine_tune``: iterations of training after ``none``
    and ``lr``; with 0 the network is evaluated as it was pruned. ``optimizer``: ``fresh``, or
    ``rewound`` with the weights.
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

    @property
    def continues(self) -> bool:
        """Whether training simply goes on after a pruning."""
        return self.rewind == "none"

    def reset(self) -> Restart:
        """The same, but from the initial weights."""
        return replace(self, rewind="init", optimizer="fresh")

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


def restart_of(
    written: Mapping[str, Any], setting: Setting, *, rounds: int, method: str = ""
) -> Restart:
    """What ``written`` (some of `RESTART_WORDS`, and rewind) says, in iterations.

    ``rounds``: how many prunings follow one another. ``method``: the one that it stands beside,
    empty for the recipe's ``prune``. UserError for what does not go together.
    """
    asked = _Asked(written, setting, rounds, method)
    rewind, step = str(written["rewind"]), 0
    if rewind not in ("init", "none", "lr"):
        step = asked.iterations("rewind", "; or init, none, lr") or 0
        rewind = "step" if step else "init"
    tune = asked.iterations("fine_tune")
    restart = Restart(
        rewind,
        asked.steps if tune is None else tune,
        step,
        asked.iterations("train"),
        written.get("optimizer", "fresh"),
    )
    for check in (_check_step, _check_train, _check_fine_tune, _check_optimizer, _check_schedule):
        check(restart, asked)
    return restart


@dataclass(frozen=True)
class _Asked:
    """What a recipe says in `RESTART_WORDS`, and where it says so."""

    written: Mapping[str, Any]
    setting: Setting
    rounds: int
    method: str

    @property
    def steps(self) -> int:
        """How long the dense network trains."""
        return self.setting.dense.steps

    def name(self, field: str) -> str:
        """A field as the user finds it."""
        return f"{field} of {self.method}" if self.method else f"prune.{field}"

    def said(self, field: str) -> str:
        """A field and its value."""
        return f"{self.name(field)} is {self.written[field]}"

    def iterations(self, field: str, others: str = "") -> int | None:
        """An amount of training, None where nothing is said. ``others``: what is valid beside."""
        if (value := self.written.get(field)) is None:
            return None
        try:
            return iterations(checked_steps(value), self.setting.per_epoch)
        except UserError as error:
            raise UserError(f"{self.name(field)} {error}{others}") from None


def _check_step(restart: Restart, asked: _Asked) -> None:
    if restart.step >= asked.steps:
        raise UserError(
            f"{asked.said('rewind')}, iteration {restart.step}, but training ends at "
            f"{asked.steps}: rewind to an earlier step"
        )


def _check_train(restart: Restart, asked: _Asked) -> None:
    if restart.train is None:
        return
    said = f"{asked.said('train')}, iteration {restart.train}"
    if restart.train >= asked.steps:
        raise UserError(
            f"{said}, and training ends at {asked.steps}: leave train out to prune at the end"
        )
    if restart.train < restart.step:
        raise UserError(
            f"{said}, before {asked.name('rewind')} {asked.written['rewind']}: prune at that step "
            "or later, or rewind to an earlier one"
        )
    if asked.rounds > 1 and restart.train == restart.step:
        raise UserError(
            f"{said}, and {asked.said('rewind')}: networks would be pruned again before they have "
            "trained. Train longer, or take one-shot pruning"
        )
    if asked.rounds > 1 and restart.goes_on and restart.train > restart.fine_tune:
        raise UserError(
            f"{said}, but {asked.name('fine_tune')} ends later rounds after {restart.fine_tune}: "
            "train less before pruning, or fine-tune longer"
        )


def _check_fine_tune(restart: Restart, asked: _Asked) -> None:
    if asked.written.get("fine_tune") is None:
        return
    said = asked.said("fine_tune")
    if not restart.goes_on:
        raise UserError(
            f"{said}, but {asked.name('rewind')} {asked.written['rewind']} trains what is left of "
            "the schedule: leave fine_tune out, or write rewind: none or lr"
        )
    if restart.fine_tune == 0 and asked.rounds > 1:
        raise UserError(
            f"{said}: networks would be pruned again before they have trained. Fine-tune longer, "
            "or take one-shot pruning"
        )
    if restart.rewind == "lr" and restart.fine_tune > asked.steps:
        raise UserError(
            f"{said}, {restart.fine_tune} iterations, but {asked.name('rewind')} lr repeats the "
            f"end of a schedule of {asked.steps}: fine-tune at most so long"
        )


def _check_optimizer(restart: Restart, asked: _Asked) -> None:
    name = asked.name("optimizer")
    if restart.optimizer not in ("fresh", "rewound"):
        raise UserError(f"{name} is {restart.optimizer!r}: write fresh or rewound")
    if restart.optimizer == "fresh":
        return
    if restart.rewind == "init":
        raise UserError(
            f"{name} is rewound, but at {asked.name('rewind')} {asked.written['rewind']} no "
            "optimizer has stepped yet: leave optimizer out, or rewind to a step"
        )
    if asked.setting.recipe.train.optimizer.name == "sgd":
        raise UserError(
            f"{name} is rewound, but train.optimizer sgd remembers nothing: leave it out, or take "
            "momentum, nesterov, adam, adamw or rmsprop"
        )


def _check_schedule(restart: Restart, asked: _Asked) -> None:
    """Nothing may train where a schedule has ended whose learning rate is 0 there."""
    schedule = asked.setting.recipe.train.schedule
    if not restart.continues or not schedule.ends_at_zero:
        return
    before = asked.steps if restart.train is None else asked.rounds * restart.train
    if before + restart.fine_tune > asked.steps:
        raise UserError(
            f"{asked.name('rewind')} is none, which continues at the schedule's last learning "
            f"rate, and train.schedule {schedule.name} ends at 0: write rewind: lr, take another "
            f"schedule, or end by iteration {asked.steps} with train and fine_tune"
        )
