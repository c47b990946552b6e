"""Dynamic sparsity on any engine: a session whose `advance` changes the mask when it is due.

`Driven` is an engine around another, so that whatever trains with an engine trains dynamically. A
state at iteration s has seen all updates up to then, and holds what the method remembers: opened
again, it continues bit-identically.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from winnow.algorithms.dynamic.method import Change, DynamicMethod, Memory, Moment
from winnow.data.order import steps_per_epoch
from winnow.engine.base import Engine, Job, Metrics, Perturbation, Session, StepStats
from winnow.engine.lanes import PliableLanes
from winnow.engine.learning_rate import learning_rate
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


def train_dynamically(
    engine: Engine,
    job: Job,
    state: State,
    method: DynamicMethod,
    *,
    seed: int,
    names: Sequence[str] | None = None,
    to: int | None = None,
) -> State:
    """Train one job dynamically up to iteration ``to`` (default its end); the state there.

    ``state``: one of an earlier call, or a dense one with ``names``, the weights that compete.
    UserError if it diverges.
    """
    begun = state if names is None else start_dynamic(method, state, names, seed)
    session = Driven(engine, method, seed).open([job], [begun])
    (stats,) = session.advance(job.steps if to is None else to)
    if stats.diverged_at is not None:
        raise UserError(f"training diverged at iteration {stats.diverged_at}: lower the rate")
    return session.state()[0]


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

    def prepare(self, jobs: Sequence[Job]) -> None:
        """What the engine underneath needs once."""
        self.engine.prepare([self._job(job) for job in jobs])

    def refuses(self, jobs: Sequence[Job]) -> str | None:
        """The reason why the method or the engine cannot run the jobs, or None."""
        for job in jobs:
            if job.search is not None:
                return f"{self.method.name} and a mask search both decide the mask"
            if self.method.dense_slots and job.optimizer["name"] == "sgd":
                return f"{self.method.name} grows by momentum, and the optimizer sgd has none"
        return self.engine.refuses([self._job(job) for job in jobs])

    def open(self, jobs: Sequence[Job], states: Sequence[State]) -> Session:
        """Start (from `start_dynamic`) or continue. UserError for jobs that it refuses."""
        if reason := self.refuses(jobs):
            raise UserError(f"cannot train this: {reason}")
        lane = partial(_Lane, self.engine, self.method, self.seed)
        pairs = zip(jobs, states, strict=True)
        return PliableLanes([lane(self._job(job), state) for job, state in pairs])

    def _job(self, job: Job) -> Job:
        return replace(job, dense_slots=self.method.dense_slots)


class _Lane:
    """One job, its method, and a session of its own underneath."""

    def __init__(
        self, engine: Engine, method: DynamicMethod, seed: int, job: Job, state: State
    ) -> None:
        assert state.mask is not None, "a dynamic run starts from start_dynamic"
        self.job, self.method, self.seed = job, method, seed
        self.session = engine.open([job], [state])
        self.step, self.mask = state.step, state.mask
        self.memory = Memory(dict(state.scalars), dict(state.extras))
        examples = len(job.data.splits["train"].index)
        self.timing = method.timing(job.steps, steps_per_epoch(examples, job.batch, job.last_batch))

    def advance(self, to: int) -> StepStats:
        total, made = 0.0, 0
        while self.step < to:
            before = self.step
            stats, trained = self._on(to)
            if stats.diverged_at is not None:
                return stats
            total += stats.loss * trained if trained else 0.0
            made += trained
            assert self.step > before
        return StepStats(self.step, total / made if made else math.nan)

    def _on(self, to: int) -> tuple[StepStats, int]:
        """Train to the next update and make it, or to ``to``; how many optimizer steps that was."""
        first = self.step
        after = self.method.when == "after"
        update = self.timing.next(first + after, to + after)
        (stats,) = self.session.advance(min(update, to))
        self.step = stats.step
        if stats.diverged_at is None and update < to + after:
            stats = self._replace_step(stats) if not after else stats
            if after:
                self._update({})
        return stats, min(update, to) - first

    def _replace_step(self, stats: StepStats) -> StepStats:
        """An update instead of the next optimizer step, unless its gradient is not finite."""
        gradient = self.session.gradient(0)
        if not _finite({name: gradient[name] for name in self.mask}):
            return StepStats(self.step, math.nan, diverged_at=self.step + 1)
        self._update(gradient)
        self.session.skip(0)
        self.step += 1
        return StepStats(self.step, stats.loss)

    def _update(self, gradient: Tensors) -> None:
        if not _finite(self.session.kept(0)):
            return  # the next step will tell that the run has diverged
        job, step = self.job, self.step
        change = self.method.update(
            Moment(
                step=step,
                timing=self.timing,
                mask=dict(self.mask),
                memory=self.memory,
                seed=self.seed,
                rate=learning_rate(max(step - 1, 0), job.steps, job.optimizer["lr"], job.schedule),
                kept=lambda: self.session.kept(0),
                gradient=lambda: gradient,
                momentum=self._momentum,
                perturb=lambda f: self.session.perturb(0, f),
            )
        )
        if change is not None:
            self._carry_out(change)

    def _momentum(self) -> Tensors:
        look = self.session.look(0)
        return momentum(look.slots, look.weights)

    def _carry_out(self, change: Change) -> None:
        self.mask = Mask(change.mask)
        self.session.remask(0, self.mask, change.values, change.grown)
        if change.memory is not None:
            self.memory = change.memory

    def evaluate(self, split: str) -> Metrics:
        return self.session.evaluate(split)[0]

    def state(self) -> State:
        return self._remembering(self.session.state()[0])

    def look(self) -> State:
        return self._remembering(self.session.look(0))

    def kept(self) -> Tensors:
        return self.session.kept(0)

    def gradient(self) -> Tensors:
        return self.session.gradient(0)

    def remask(
        self, mask: Mask, values: Tensors | None = None, grown: Tensors | None = None
    ) -> None:
        self._carry_out(Change(mask, values, grown))

    def perturb(self, change: Perturbation) -> None:
        self.session.perturb(0, change)

    def skip(self) -> None:
        self.session.skip(0)
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
