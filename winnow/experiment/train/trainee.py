"""One run in training: what is recorded of it on the way, and what it gives at its end."""

from __future__ import annotations

import math
from functools import cached_property

from winnow.algorithms.search.driven import settled
from winnow.engine.base import Job, Metrics, Returns, Training
from winnow.experiment.runs import Record, Run
from winnow.experiment.store.store import Result
from winnow.experiment.train.checkpoint import Checkpoints, Progress, save_checkpoint
from winnow.experiment.train.sampled import TRAIN_SAMPLE
from winnow.reparametrisation import SCORES
from winnow.state import State


class Trainee:
    """A run, its session, and what has been seen of it."""

    def __init__(
        self,
        run: Run,
        record: Record,
        job: Job,
        session: Training,
        progress: Progress,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """``progress``: what was seen before the session began."""
        self.run, self.record, self.job, self.session = run, record, job, session
        self.progress, self.checkpoints = progress, checkpoints
        self.diverged_at: int | None = None

    @property
    def until(self) -> int:
        """The iteration at which its training ends."""
        return self.run.end

    def next_look(self, step: int) -> int:
        """The first iteration after ``step`` at which there is something to record."""
        run, record = self.run, self.record
        grid = run.begin + ((step - run.begin) // run.evaluate + 1) * run.evaluate
        named = [k for k in (record.accuracy_at | record.validation_at | record.states) if k > step]
        return min([grid, run.end, *named])

    def begin(self, step: int) -> None:
        """Look at where the run begins, unless it goes on from a checkpoint."""
        if step == self.run.begin and not self.progress.curve["steps"]:
            self._look(step)

    def advance(self, to: int) -> None:
        """Train up to iteration ``to``, which is at most the next look, and look if it is that."""
        stats = self.session.advance(to)
        self.diverged_at = stats.diverged_at
        if stats.seen and self.progress.loss_count is not None:
            self.progress.loss_total += stats.loss * stats.seen
            self.progress.loss_count += stats.seen
        if self.diverged_at is None and to == self.next_look(to - 1):
            self._look(to)

    def save(self) -> None:
        """Write a checkpoint, if the run has a place for one."""
        if self.checkpoints:
            save_checkpoint(self.checkpoints, self.record, self.session.state(), self.progress)

    def _look(self, step: int) -> None:
        """Record what the run's grid and its record ask for at this step."""
        if step in self.record.states:
            self.progress.states[step] = self._network()
        if step in self.record.accuracy_at:
            self.progress.accuracy_at[str(step)] = self.session.evaluate("test").accuracy
        if step in self.record.validation_at:
            self.progress.validation_at[str(step)] = self.session.evaluate("validation").accuracy
        if (step - self.run.begin) % self.run.evaluate == 0 or step == self.run.end:
            self._evaluate(step)

    def _evaluate(self, step: int) -> None:
        curve = self.progress.curve
        if self.run.data.validation:
            metrics = self.session.evaluate("validation")
            curve["validation_loss"].append(finite(metrics.loss))
            curve["validation_accuracy"].append(metrics.accuracy)
            if metrics.loss < self.progress.best_loss:  # the first minimum wins
                self._keep_best(metrics.loss)
        if self.record.test_curve:
            metrics = self.session.evaluate("test")
            curve["test_accuracy"].append(metrics.accuracy)
            curve["test_loss"].append(finite(metrics.loss))
        curve["training_loss"].append(self._training_loss())
        curve["steps"].append(step)

    def _training_loss(self) -> float | None:
        """The mean loss of the updates since the last evaluation, to 6 digits: None for none.

        The last bits of a sum depend on where a training paused, which the clock decides.
        """
        progress = self.progress
        mean = progress.loss_total / progress.loss_count if progress.loss_count else None
        progress.loss_total, progress.loss_count = 0.0, 0
        return None if mean is None else float(f"{mean:.6g}")

    def _keep_best(self, loss: float) -> None:
        if self._returning:
            self.progress.best, self.progress.best_loss = self._returning.snapshot(), loss
            return
        state = self._network()
        if self._has_its_density(state):
            self.progress.best = without_slots(state)
            self.progress.best_loss = loss

    @cached_property
    def _returning(self) -> Returns | None:
        """The session, where it can return to earlier weights: their mask is always its own."""
        one_mask = self.run.dynamic is None and self.run.search is None
        return self.session if one_mask and isinstance(self.session, Returns) else None

    def _has_its_density(self, state: State) -> bool:
        """False while gradual pruning is on its way: no network there is what the run is about."""
        run = self.run
        return run.dynamic is None or (state.mask is not None and state.mask.kept == run.keep)

    def _network(self) -> State:
        """The state as others use it: of a mask search the network found so far."""
        return settled(self.job, self.session.state())[1]

    def apart(self) -> State | None:
        """The best state, where it takes a session of its own to evaluate it."""
        best = self.progress.best
        if best is None or self._returning or self._stands_at_best(self.session.state()):
            return None
        return self.progress.best_state

    def _stands_at_best(self, last: State) -> bool:
        """Whether the weights that it stands at are the best."""
        best = self.progress.best
        return self.run.search is None and best is not None and best.step == last.step

    def end(self, best: Training | None = None) -> tuple[Result, dict[str, State]]:
        """The result, and the states to keep by name (``final``, ``step-N``; none if it diverged).

        ``best``: a session that stands at the state of `apart`, if there is one.
        """
        returning = self._returning
        last = returning.snapshot().network() if returning else self.session.state()
        if self.diverged_at is None and not _is_finite(last):
            self.diverged_at = self.run.end  # the last update went too far; no later loss tells
        result = self._result(last, best)
        if self.diverged_at is not None:
            return result, {}
        states = {"final": without_slots(settled(self.job, last)[1])}
        return result, states | {f"step-{k}": v for k, v in self.progress.states.items()}

    def _result(self, last: State, best: Training | None) -> Result:
        progress = self.progress
        lost = self.job.search is not None and not _is_finite(last)  # scores that decide nothing
        mask = None if lost else settled(self.job, last)[1].mask
        stop = progress.best.step if progress.best else None
        at_end = {} if self.diverged_at is not None else self._metrics(last.step, self.session)
        at_stop = self._at_stop(last, at_end, best)
        return Result(
            status="done" if self.diverged_at is None else "diverged",
            diverged_at=self.diverged_at,
            curve=progress.curve,
            stop_iteration=stop,
            stop_censored=None if stop is None else stop == progress.curve["steps"][-1],
            stop_validation_loss=None if stop is None else finite(progress.best_loss),
            stop={split: seen.accuracy for split, seen in at_stop.items()},
            final={split: seen.accuracy for split, seen in at_end.items()},
            accuracy_at=progress.accuracy_at,
            kept={name: int(keep.sum()) for name, keep in mask.items()} if mask else {},
            seconds=round(progress.seconds, 3),
            stop_loss={split: finite(seen.loss) for split, seen in at_stop.items()},
            final_loss={split: finite(seen.loss) for split, seen in at_end.items()},
            validation_at=progress.validation_at,
        )

    def _at_stop(
        self, last: State, at_end: dict[str, Metrics], best: Training | None
    ) -> dict[str, Metrics]:
        """What the best weights measure; the session may leave its last ones for them."""
        state = self.progress.best_state
        if state is None:
            return {}
        if best is not None:
            return self._metrics(state.step, best)
        if self._stands_at_best(last):
            return at_end or self._metrics(state.step, self.session)
        returning = self._returning
        assert returning is not None, "other sessions are given one for the best state"
        returning.return_to(state)
        return self._metrics(state.step, self.session)

    def _metrics(self, step: int, session: Training) -> dict[str, Metrics]:
        """By split: as the curve has them at this iteration, else as the session there gives."""
        seen = self._seen(step)
        splits = sorted(self.job.data.splits)
        if TRAIN_SAMPLE in splits:
            splits.remove("train")
        return {split: seen.get(split) or session.evaluate(split) for split in splits}

    def _seen(self, step: int) -> dict[str, Metrics]:
        """What the curve has of an iteration, by split, where it is finite."""
        curve = self.progress.curve
        if self.run.search is not None or step not in curve["steps"]:
            return {}
        at = curve["steps"].index(step)
        found = {}
        for split in ("validation", "test"):
            losses = curve[f"{split}_loss"]
            if losses and losses[at] is not None:
                found[split] = Metrics(losses[at], curve[f"{split}_accuracy"][at])
        return found


def without_slots(state: State) -> State:
    """What there is of a network."""
    return State(state.step, state.weights, state.buffers, state.mask)


def _is_finite(state: State) -> bool:
    trained = [*state.weights.values(), *state.extras.get(SCORES, {}).values()]
    return all(bool(tensor.isfinite().all()) for tensor in trained)


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
