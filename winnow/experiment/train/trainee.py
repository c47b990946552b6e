"""One run in training: what is recorded of it on the way, and what it gives at its end."""

from __future__ import annotations

import math

from winnow.algorithms.search.driven import settled
from winnow.engine.base import Job, Metrics, Training
from winnow.experiment.runs import Record, Run
from winnow.experiment.store.store import Result
from winnow.experiment.train.checkpoint import Checkpoints, Progress, save_checkpoint
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
            curve["validation_loss"].append(_finite(metrics.loss))
            curve["validation_accuracy"].append(metrics.accuracy)
            if metrics.loss < self.progress.best_loss:  # the first minimum wins
                self._keep_best(metrics.loss)
        if self.record.test_curve:
            metrics = self.session.evaluate("test")
            curve["test_accuracy"].append(metrics.accuracy)
            curve["test_loss"].append(_finite(metrics.loss))
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
        state = self._network()
        if self._has_its_density(state):
            self.progress.best = State(state.step, state.weights, state.buffers, state.mask)
            self.progress.best_loss = loss

    def _has_its_density(self, state: State) -> bool:
        """False while gradual pruning is on its way: no network there is what the run is about."""
        run = self.run
        return run.dynamic is None or (state.mask is not None and state.mask.kept == run.keep)

    def _network(self) -> State:
        """The state as others use it: of a mask search the network found so far."""
        return settled(self.job, self.session.state())[1]

    def end(self, best: Training | None) -> tuple[Result, dict[str, State]]:
        """The result, and the states to keep by name (``final``, ``step-N``; none if it diverged).

        ``best``: a session that stands at the best state, if there is one.
        """
        last = self.session.state()
        if self.diverged_at is None and not _is_finite(last):
            self.diverged_at = self.run.end  # the last update went too far; no later loss tells
        result = self._result(last, best)
        if self.diverged_at is not None:
            return result, {}
        network = settled(self.job, last)[1]
        states = {"final": State(network.step, network.weights, network.buffers, network.mask)}
        return result, states | {f"step-{k}": v for k, v in self.progress.states.items()}

    def _result(self, last: State, best: Training | None) -> Result:
        progress = self.progress
        lost = self.job.search is not None and not _is_finite(last)  # scores that decide nothing
        mask = None if lost else settled(self.job, last)[1].mask
        stop = progress.best.step if progress.best else None
        at_stop = self._metrics(best)
        at_end = self._metrics(self.session if self.diverged_at is None else None)
        return Result(
            status="done" if self.diverged_at is None else "diverged",
            diverged_at=self.diverged_at,
            curve=progress.curve,
            stop_iteration=stop,
            stop_censored=None if stop is None else stop == progress.curve["steps"][-1],
            stop_validation_loss=None if stop is None else _finite(progress.best_loss),
            stop={split: seen.accuracy for split, seen in at_stop.items()},
            final={split: seen.accuracy for split, seen in at_end.items()},
            accuracy_at=progress.accuracy_at,
            kept={name: int(keep.sum()) for name, keep in mask.items()} if mask else {},
            seconds=round(progress.seconds, 3),
            stop_loss={split: _finite(seen.loss) for split, seen in at_stop.items()},
            final_loss={split: _finite(seen.loss) for split, seen in at_end.items()},
            validation_at=progress.validation_at,
        )

    def _metrics(self, session: Training | None) -> dict[str, Metrics]:
        """By split."""
        if session is None:
            return {}
        return {split: session.evaluate(split) for split in sorted(self.job.data.splits)}


def _is_finite(state: State) -> bool:
    trained = [*state.weights.values(), *state.extras.get(SCORES, {}).values()]
    return all(bool(tensor.isfinite().all()) for tensor in trained)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
