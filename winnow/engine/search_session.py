"""The session of a mask search: what the dense engine trains a job with ``search`` in."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NoReturn

import torch
import torch.nn.functional as F

from winnow.engine.advancing import advance_by, one_step
from winnow.engine.base import Job, Metrics, Perturbation, StepStats
from winnow.engine.dropout import has_dropout
from winnow.engine.evaluation import evaluate
from winnow.engine.feed import Feed
from winnow.engine.learning_rate import rate_at
from winnow.engine.optimizer import clip, make_optimizer, read_slots, update, write_slots
from winnow.engine.recorded.exactness import Exact
from winnow.engine.search import Searched
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.reparametrisation import SCORES, Search
from winnow.state import State, Tensors, copied, load_weights


class SearchSession:
    """One network whose scores train. Its states hold the frozen weights, whole, and no mask;
    `winnow.engine.search.found_network` makes a sparse network of one.
    """

    def __init__(
        self, job: Job, search: Search, state: State, device: torch.device, exact: Exact
    ) -> None:
        check_searchable(search, state)
        self.job, self.search, self.device, self.exact = job, search, device, exact
        self.begun, self.step, self.updates = state, state.step, state.updates
        self.model = job.build().to(device)
        load_weights(self.model, state)
        self.searched = Searched(self.model, search, state.extras[SCORES])
        self.scores = self.searched.scores
        self.optimizer = make_optimizer(self.scores, job.optimizer)
        write_slots(self.optimizer, self.scores, state.slots, state.updates)
        self.feed = Feed(job, device)
        self.draws = has_dropout(self.model) or "dropout" in job.seeds

    def advance(self, to: int) -> StepStats:
        self.searched.train()
        with self.exact():
            return advance_by(self, one_step(self, self._train), to)

    def _train(self) -> float:
        """One update. Returns the loss; NaN, and no update, if it or the gradient is not finite."""
        x, y = self.feed.batch(self.step)
        if self.draws:
            torch.manual_seed(self.feed.dropout_seed(self.step))
        self.searched.apply(self.step)
        loss = F.cross_entropy(self.model(x), y)
        by_weights = torch.autograd.grad(loss, list(self.searched.effective.values()))
        gradients = self.searched.chain(by_weights)
        value = clip(loss, gradients, self.job.clip)
        if math.isfinite(value):
            rate = rate_at(self.job, self.step)
            update(self.optimizer, self.scores.values(), gradients, rate)
            self.updates += 1
        return value

    def evaluate(self, split: str) -> Metrics:
        self.searched.apply(None)
        with self.exact():
            return evaluate(self.model, self.feed, split)

    def state(self) -> State:
        return copied(self.look())

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


def check_searchable(search: Search, state: State) -> None:
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
