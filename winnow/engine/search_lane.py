"""The lane of a mask search: what the dense engine trains a job with ``search`` in."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NoReturn

import torch
import torch.nn.functional as F

from winnow.engine.base import Job, Metrics, Perturbation, StepStats
from winnow.engine.dropout import has_dropout
from winnow.engine.evaluation import evaluate
from winnow.engine.feed import Feed
from winnow.engine.learning_rate import learning_rate
from winnow.engine.optimizer import clip, make_optimizer, read_slots, update, write_slots
from winnow.engine.search import Searched
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.reparametrisation import SCORES, Search
from winnow.state import State, Tensors, load_weights


class SearchLane:
    """One network whose scores train. Its states hold the frozen weights, whole, and no mask;
    `winnow.engine.search.found` makes a sparse network of one.
    """

    def __init__(self, job: Job, search: Search, state: State, device: torch.device) -> None:
        check(search, state)
        self.job, self.search, self.device = job, search, device
        self.begun, self.step, self.updates = state, state.step, state.updates
        self.model = job.build().to(device)
        load_weights(self.model, state)
        self.searched = Searched(self.model, search, state.extras[SCORES])
        self.scores = self.searched.scores
        self.optimizer = make_optimizer(self.scores, job.optimizer)
        write_slots(self.optimizer, self.scores, state.slots, state.updates)
        self.feed = Feed(job, device)
        self.drops_units = has_dropout(self.model)

    def advance(self, to: int) -> StepStats:
        self.searched.train()
        total, first = 0.0, self.step
        while self.step < to:
            loss = self._one_step()
            if not math.isfinite(loss):
                return StepStats(self.step, loss, diverged_at=self.step + 1)
            total += loss
            self.step += 1
        return StepStats(self.step, total / (self.step - first) if self.step > first else math.nan)

    def _one_step(self) -> float:
        """One update. Returns the loss; NaN, and no update, if it or the gradient is not finite."""
        job = self.job
        x, y = self.feed.batch(self.step)
        if self.drops_units:
            torch.manual_seed(self.feed.dropout_seed(self.step))
        self.searched.apply(self.step)
        loss = F.cross_entropy(self.model(x), y)
        by_weights = torch.autograd.grad(loss, list(self.searched.effective.values()))
        gradients = self.searched.chain(by_weights)
        value = clip(loss, gradients, job.clip)
        if math.isfinite(value):
            rate = learning_rate(self.step, job.steps, job.optimizer["lr"], job.schedule)
            update(self.optimizer, self.scores.values(), gradients, rate)
            self.updates += 1
        return value

    def evaluate(self, split: str) -> Metrics:
        self.searched.apply(None)
        return evaluate(self.model, self.feed, split)

    def state(self) -> State:
        now = self.look()
        return replace(
            now,
            weights={name: w.clone() for name, w in now.weights.items()},
            buffers={name: b.clone() for name, b in now.buffers.items()},
            slots={s: {name: t.clone() for name, t in v.items()} for s, v in now.slots.items()},
            extras={**now.extras, SCORES: {n: s.clone() for n, s in now.extras[SCORES].items()}},
        )

    def look(self) -> State:
        frozen = {name: p.detach().cpu() for name, p in self.model.named_parameters()}
        frozen |= {name: weight.cpu() for name, weight in self.searched.weights.items()}
        scores = {name: score.detach().cpu() for name, score in self.scores.items()}
        slots = read_slots(self.optimizer, self.scores)
        return replace(
            self.begun,
            step=self.step,
            updates=self.updates,
            weights=frozen,
            buffers={name: b.detach().cpu() for name, b in self.model.named_buffers()},
            slots={slot: {name: t.cpu() for name, t in of.items()} for slot, of in slots.items()},
            extras={**self.begun.extras, SCORES: scores},
        )

    def kept(self) -> Tensors:
        _refuse("reads kept weights")

    def gradient(self) -> Tensors:
        _refuse("reads gradients of weights")

    def remask(
        self,
        mask: Mask,  # noqa: ARG002
        values: Tensors | None = None,  # noqa: ARG002
        grown: Tensors | None = None,  # noqa: ARG002
    ) -> None:
        _refuse("sets masks")

    def perturb(self, change: Perturbation) -> None:  # noqa: ARG002
        _refuse("moves weights")

    def skip(self) -> None:
        self.step += 1


def check(search: Search, state: State) -> None:
    """UserError unless a search can start, or go on, from the state."""
    if state.mask is not None:
        raise UserError(
            f"a mask search starts from all weights, but the state keeps {state.mask.kept} of "
            f"{state.mask.size}: leave its mask out, or give it as what the scores start from"
        )
    scores = state.extras.get(SCORES, {})
    for name in search.names:
        if name not in state.weights:
            raise UserError(f"the search is over {name!r}, which the network does not have")
        here, shape = scores.get(name), list(state.weights[name].shape)
        if here is None or list(here.shape) != shape:
            theirs = "none" if here is None else list(here.shape)
            raise UserError(f"the state's scores of {name!r} must be {shape}, got {theirs}")


def _refuse(what: str) -> NoReturn:
    raise UserError(
        f"a mask search decides its mask by its scores; no method that {what} drives it"
    )
