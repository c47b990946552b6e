"""A finished run on its way once more, to record what was not: the same numbers, other looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from winnow.algorithms.search.driven import settled
from winnow.engine.base import Job, Metrics, Training
from winnow.experiment.runs import Run
from winnow.experiment.store.additions import Addition
from winnow.experiment.store.lacking import Lacking, Leg
from winnow.experiment.store.store import Found
from winnow.experiment.train.checkpoint import Checkpoints, Progress, save_checkpoint
from winnow.experiment.train.sampled import TRAIN_SAMPLE
from winnow.experiment.train.trainee import finite, without_slots
from winnow.state import State


@dataclass(frozen=True)
class Continued:
    """A stored run, what it lacks, and the job that it goes on with."""

    found: Found
    lacks: Lacking
    job: Job

    @property
    def run(self) -> Run:
        """The run."""
        return self.found.run

    @property
    def training_split(self) -> str:
        """The split whose accuracy is training accuracy."""
        return TRAIN_SAMPLE if TRAIN_SAMPLE in self.job.data.splits else "train"

    def checked_at(self, leg: Leg) -> int | None:
        """The last iteration that a leg trains up to and whose losses the stored curve has."""
        passed = [k for k in self.stored_losses[1] if leg.begin < k <= leg.looks[-1]]
        return max(passed, default=None)

    @property
    def stored_losses(self) -> tuple[str, dict[int, float]]:
        """A split of the stored curve, and its losses by iteration."""
        curve = self.found.result.curve
        split = "validation" if curve.get("validation_loss") else "test"
        losses = zip(curve["steps"], curve.get(f"{split}_loss") or (), strict=False)
        return split, {step: loss for step, loss in losses if loss is not None}


class Again:
    """One leg of a stored run, its session, and what has been seen of all legs so far.

    ``progress``: test and validation accuracies by iteration; ``looked``, ``tested`` with
    ``test_loss``, and ``measured`` (iteration, accuracy, loss) in its curve; states by iteration.
    """

    def __init__(
        self,
        asked: Continued,
        leg: Leg,
        session: Training,
        progress: Progress,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.asked, self.leg, self.session = asked, leg, session
        self.progress, self.checkpoints = progress, checkpoints
        self.diverged_at: int | None = None
        self.differs = False
        check = asked.checked_at(leg)
        self._check = check
        self._looks = sorted({*leg.looks, *([] if check is None else [check])})

    @property
    def run(self) -> Run:
        """The run."""
        return self.asked.run

    @property
    def until(self) -> int:
        """The iteration at which the leg ends."""
        return self.leg.looks[-1]

    def next_look(self, step: int) -> int:
        """The first iteration after ``step`` at which there is something to record or compare."""
        return min((look for look in self._looks if look > step), default=self.until)

    def begin(self, step: int) -> None:
        """Look at where the leg begins, if that is asked for."""
        if step in self.leg.looks:
            self._look(step)

    def advance(self, to: int) -> None:
        """Train up to iteration ``to``, which is at most the next look, and look if it is that."""
        self.diverged_at = self.session.advance(to).diverged_at
        if self.diverged_at is not None:
            self.differs = self.diverged_at != self.asked.found.result.diverged_at
            return
        if to == self._check:
            self._compare(to)
        if to in self.leg.looks:
            self._look(to)

    def save(self) -> None:
        """Write a checkpoint, if there is a place for one."""
        if self.checkpoints:
            record = self.asked.lacks.record
            save_checkpoint(self.checkpoints, record, self.session.state(), self.progress)

    def _compare(self, step: int) -> None:
        """Whether these are the iterations that were stored, to the last bit of a loss."""
        split, losses = self.asked.stored_losses
        self.differs = self.differs or self.session.evaluate(split).loss != losses[step]

    def _look(self, step: int) -> None:
        lacks, progress = self.asked.lacks, self.progress
        looked = progress.curve.setdefault("looked", [])
        if step in looked:  # before a checkpoint
            return
        record = lacks.record
        if step in lacks.tested or (
            step in record.accuracy_at and str(step) not in lacks.accuracy_at
        ):
            metrics = self.session.evaluate("test")
            progress.accuracy_at[str(step)] = metrics.accuracy
            progress.curve.setdefault("tested", []).append(step)
            progress.curve["test_loss"].append(finite(metrics.loss))
        if step in record.validation_at and str(step) not in lacks.validation_at:
            progress.validation_at[str(step)] = self.session.evaluate("validation").accuracy
        if step in record.states | stones(self.asked) or self._is_searched_stop(step):
            progress.states[step] = settled(self.asked.job, self.session.state())[1]
        if step in lacks.measured_at and not self._is_only_searched_stop(step):
            metrics = self.session.evaluate(self.asked.training_split)
            seen = [step, metrics.accuracy, finite(metrics.loss)]
            progress.curve.setdefault("measured", []).append(seen)
        looked.append(step)

    def _is_searched_stop(self, step: int) -> bool:
        """Whether a search stands at its best scores, whose network is evaluated by itself."""
        stop = self.asked.found.result.stop_iteration
        return self.run.search is not None and step in self.asked.lacks.measured_at and step == stop

    def _is_only_searched_stop(self, step: int) -> bool:
        return self._is_searched_stop(step) and step != self.run.end


def searched_stop(asked: Continued, progress: Progress) -> State | None:
    """The network that a search had at its stop, where its training accuracy is wanted."""
    stop = asked.found.result.stop_iteration
    if stop is None or asked.run.search is None or stop not in progress.states:
        return None
    return without_slots(progress.states[stop])


def addition_of(
    asked: Continued, progress: Progress, at_stop: Metrics | None
) -> tuple[Addition, dict[str, State]]:
    """What was seen, as an addition, and the states to keep by name.

    ``at_stop``: what a search's network measures at its stop.
    """
    lacks, found = asked.lacks, asked.found
    record, curve = lacks.record, progress.curve
    measured: dict[int, tuple[float, float | None]] = {
        step: (accuracy, loss) for step, accuracy, loss in curve.get("measured", ())
    }
    stop = {} if found.result.stop_iteration is None else _of(measured, found.result.stop_iteration)
    if at_stop is not None:
        stop = {"accuracy": at_stop.accuracy, "loss": finite(at_stop.loss)}
    end = _of(measured, asked.run.end) if found.result.status == "done" else {}
    split = asked.training_split
    seen = {k: v for k, v in progress.accuracy_at.items() if int(k) in record.accuracy_at}
    addition = Addition(
        record,
        _test_curve(lacks.tested, progress),
        _in_order({**lacks.accuracy_at, **seen}),
        _in_order({**lacks.validation_at, **progress.validation_at}),
        {split: stop["accuracy"]} if stop else {},
        {split: end["accuracy"]} if end else {},
        {split: stop["loss"]} if stop else {},
        {split: end["loss"]} if end else {},
    )
    kept = record.states | stones(asked)
    return addition, {f"step-{k}": v for k, v in progress.states.items() if k in kept}


def stones(asked: Continued) -> frozenset[int]:
    """Where legs end before the run does: these states are kept too, for what is asked for next.

    Those of a search are not: they have no scores, and nothing goes on from them.
    """
    if asked.run.search is not None:
        return frozenset()
    ends = {leg.looks[-1] for leg in asked.lacks.legs if leg.iterations}
    return frozenset(ends - {asked.run.end})


def _of(measured: Mapping[int, tuple[float, float | None]], step: int) -> dict[str, Any]:
    if step not in measured:
        return {}
    accuracy, loss = measured[step]
    return {"accuracy": accuracy, "loss": loss}


def _test_curve(tested: tuple[int, ...], progress: Progress) -> dict[str, list[Any]]:
    if not tested:
        return {}
    losses = dict(zip(progress.curve["tested"], progress.curve["test_loss"], strict=True))
    accuracies = [progress.accuracy_at[str(step)] for step in tested]
    return {"test_accuracy": accuracies, "test_loss": [losses[step] for step in tested]}


def _in_order(values: Mapping[str, float]) -> dict[str, float]:
    return {step: values[step] for step in sorted(values, key=int)}
