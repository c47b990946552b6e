"""Dynamic sparsity on any engine: a session whose `advance` changes the mask when it is due.

`Driven` is an engine around another, so that whatever trains with an engine trains dynamically. A
state at iteration s has seen all updates up to then, and holds what the method remembers: opened
again, it continues bit-identically.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from winnow.algorithms.dynamic.method import Change, DynamicMethod, Memory, Moment
from winnow.algorithms.dynamic.turned import check_start
from winnow.data.order import steps_per_epoch
from winnow.engine.advancing import advance_by
from winnow.engine.base import Engine, Job, Metrics, Perturbation, Session, StepStats
from winnow.engine.learning_rate import rate_at
from winnow.errors import UserError, unknown
from winnow.mask import Mask
from winnow.state import State, Tensors, masked


def start_dynamic(method: DynamicMethod, state: State, names: Sequence[str], seed: int) -> State:
    """A dense state with the method's first mask over the weights ``names``, and its memory.

    A state with a mask keeps it: it must be over these names and keep as many weights as the
    method's first mask would. UserError where it does not, and for a density out of reach.
    """
    if strangers := [name for name in names if name not in state.weights]:
        hint = f"There are {', '.join(state.weights)}"
        raise unknown("weight", strangers[0], state.weights, hint)
    weights = {name: state.weights[name] for name in names}
    mask = method.start(weights, seed)
    if state.mask is not None:
        check_given(method, state.mask, mask)
        mask = state.mask
    memory = method.memory(weights, mask, seed)
    return masked(replace(state, mask=mask, scalars=memory.scalars, extras=memory.tensors))


class Driven:
    """An engine that trains as another does, and lets a method change the masks."""

    def __init__(self, engine: Engine, method: DynamicMethod, seed: int) -> None:
        """``seed`` names the method's random numbers."""
        self.engine, self.method, self.seed = engine, method, seed
        self.name = engine.name

    @property
    def notes(self) -> Sequence[str]:
        """Those of the engine underneath."""
        return self.engine.notes

    def prepare(self, job: Job) -> None:
        """What the engine underneath needs once."""
        self.engine.prepare(self._job(job))

    def refuses(self, job: Job) -> str | None:
        """The reason why the method or the engine cannot run the job, or None."""
        if job.search is not None:
            return f"{self.method.name} and a mask search both decide the mask"
        optimizer = job.optimizer
        has_momentum = optimizer.get("momentum") or "betas" in optimizer
        if self.method.dense_slots and not has_momentum:
            name = optimizer["name"]
            return f"{self.method.name} grows by momentum, and the optimizer {name} has none"
        return self.engine.refuses(self._job(job))

    def open(self, job: Job, state: State) -> Session:
        """Start (from `start_dynamic`) or continue. UserError for a job that it refuses."""
        if reason := self.refuses(job):
            raise UserError(f"cannot train this: {reason}")
        return _DrivenSession(self.engine, self.method, self.seed, self._job(job), state)

    def _job(self, job: Job) -> Job:
        return replace(job, dense_slots=self.method.dense_slots)


class _DrivenSession:
    """One job, its method, and a session of its own underneath."""

    def __init__(
        self, engine: Engine, method: DynamicMethod, seed: int, job: Job, state: State
    ) -> None:
        assert state.mask is not None, "a dynamic run starts from start_dynamic"
        self.job, self.method, self.seed = job, method, seed
        self.session = engine.open(job, state)
        self.step, self.mask = state.step, state.mask
        self.memory = Memory(dict(state.scalars), dict(state.extras))
        self.known: Tensors | None = None
        examples = len(job.data.splits["train"].index)
        self.timing = method.timing(job.steps, steps_per_epoch(examples, job.batch, job.last_batch))

    def advance(self, to: int) -> StepStats:
        return advance_by(self, self._piece, to)

    def _piece(self, to: int) -> tuple[int, float]:
        """Train to the next update and make it, or to ``to``: losses seen, their sum."""
        first = self.step
        after = self.method.when == "after"
        update = self.timing.next(first + after, to + after)
        stats = self.session.advance(min(update, to))
        self.step = stats.step
        if stats.diverged_at is not None:
            return 0, math.nan
        if update < to + after:
            if after:
                self._update({})
            elif not self._replace_step():
                return 0, math.nan
        return stats.seen, stats.loss * stats.seen if stats.seen else 0.0

    def _replace_step(self) -> bool:
        """An update instead of the next optimizer step, unless its gradient is not finite."""
        gradient = self.session.gradient()
        if not _finite({name: gradient[name] for name in self.mask}):
            return False
        self._update(gradient)
        self.session.skip()
        self.step += 1
        return True

    def _update(self, gradient: Tensors) -> None:
        if not _finite(self.session.kept()):
            return  # the next step will tell that the run has diverged
        step = self.step
        change = self.method.update(
            Moment(
                step=step,
                timing=self.timing,
                mask={name: self.mask.lent(name) for name in self.mask},
                memory=self.memory,
                seed=self.seed,
                rate=rate_at(self.job, max(step - 1, 0)),
                kept=lambda: self.session.kept(),
                gradient=lambda: gradient,
                momentum=self._momentum,
                perturb=self.session.perturb,
                known=self.known,
            )
        )
        if change is not None:
            self._carry_out(change)

    def _momentum(self) -> Tensors:
        look = self.session.look()
        return momentum(look.slots, look.weights)

    def _carry_out(self, change: Change) -> None:
        self.mask, self.known = Mask(change.mask), change.known
        self.session.remask(self.mask, change.values, change.grown)
        if change.memory is not None:
            self.memory = change.memory

    def evaluate(self, split: str) -> Metrics:
        return self.session.evaluate(split)

    def state(self) -> State:
        return self._remembering(self.session.state())

    def look(self) -> State:
        return self._remembering(self.session.look())

    def kept(self) -> Tensors:
        return self.session.kept()

    def gradient(self) -> Tensors:
        return self.session.gradient()

    def remask(
        self, mask: Mask, values: Tensors | None = None, grown: Tensors | None = None
    ) -> None:
        self._carry_out(Change(mask, values, grown))

    def perturb(self, change: Perturbation) -> None:
        self.session.perturb(change)

    def skip(self) -> None:
        self.session.skip()
        self.step += 1

    def _remembering(self, state: State) -> State:
        return replace(state, scalars=self.memory.scalars, extras=self.memory.tensors)


def momentum(slots: Mapping[str, Tensors], weights: Tensors) -> Tensors:
    """The momentum of each weight: SGD's buffer, Adam's m / (√v + 1e-8); 0 before any step."""
    if "momentum_buffer" in slots:
        return slots["momentum_buffer"]
    if "exp_avg" in slots:
        first, second = slots["exp_avg"], slots["exp_avg_sq"]
        return {name: first[name] / (second[name].sqrt() + 1e-8) for name in first}
    return {name: weight.new_zeros(weight.shape) for name, weight in weights.items()}


def _finite(tensors: Mapping[str, Tensor]) -> bool:
    sums = torch.stack([tensor.sum() for tensor in tensors.values()])
    if bool(sums.isfinite().all()):
        return True
    # A sum can be too large for a float where no value is.
    return all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def check_given(method: DynamicMethod, given: Mask, first: Mask) -> None:
    """UserError unless a given mask is one that the method could start from, as ``first`` is."""
    if set(given) != set(first):
        raise UserError(
            f"the mask given is over {sorted(given)}, but {method.name} works on {sorted(first)}"
        )
    if given.kept != first.kept:
        option = "initial" if method.starts_dense else "density"
        raise UserError(
            f"the mask given keeps {given.kept} of {given.size} weights, density "
            f"{given.density:.6g}, but {method.name} starts with {first.kept}: write "
            f"{option}={given.density:.6g} or leave the mask out"
        )
    check_start(method, given, first)
