"""The reference engine: dense weights times a mask, in torch.

Data lies on the device, a batch is an index gather, the optimizer step is fused. Later engines
must match it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from winnow.engine.advancing import advance_by, one_step
from winnow.engine.base import Job, Metrics, Perturbation, Session, StepStats
from winnow.engine.dropout import has_dropout
from winnow.engine.evaluation import evaluate
from winnow.engine.feed import Feed
from winnow.engine.learning_rate import rate_at
from winnow.engine.optimizer import (
    clip,
    make_optimizer,
    read_slots,
    slots_of,
    update,
    write_slots,
)
from winnow.engine.recorded.exactness import Exact, exact_numbers
from winnow.engine.search_session import SearchSession
from winnow.mask import Mask
from winnow.state import State, Tensors, copied, load_weights, masked, newly_kept


class DenseEngine:
    """Trains with dense torch operations."""

    name = "dense"
    notes: Sequence[str] = ()

    def __init__(
        self,
        device: str | torch.device | None = None,
        deterministic: bool = True,
        tf32: bool = False,
    ) -> None:
        """``device``: where to train; None takes a GPU where there is one. ``deterministic`` and
        ``tf32``: see `exact_numbers`.
        """
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.exact = functools.partial(exact_numbers, self.device, deterministic, tf32)

    def prepare(self, job: Job) -> None:
        """Nothing: torch is compiled already."""

    def refuses(self, job: Job) -> str | None:  # noqa: ARG002 - the seam's signature
        """Never: the reference engine runs every job."""
        return None

    def open(self, job: Job, state: State) -> Session:
        """Start or continue the job from a state."""
        if job.search is not None:
            return SearchSession(job, job.search, state, self.device, self.exact)
        as_trained = masked(replace(state, dense_slots=job.dense_slots))
        return _DenseSession(job, as_trained, self.device, self.exact)


@dataclass(frozen=True)
class _Snapshot:
    """A state without slots."""

    state: State

    @property
    def step(self) -> int:
        """The iteration."""
        return self.state.step

    def network(self) -> State:
        """The state."""
        return self.state


class _DenseSession:
    """One network in training."""

    def __init__(self, job: Job, state: State, device: torch.device, exact: Exact) -> None:
        self.job, self.device, self.exact = job, device, exact
        self.step, self.updates, self.mask = state.step, state.updates, state.mask
        self.model = job.build().to(device)
        load_weights(self.model, state)
        self.parameters = dict(self.model.named_parameters())
        self.trained = list(self.parameters.values())
        self.optimizer = make_optimizer(self.parameters, job.optimizer)
        write_slots(self.optimizer, self.parameters, state.slots, state.updates)
        self.keep = self._float_masks()
        self.feed = Feed(job, device)
        self.draws = has_dropout(self.model) or "dropout" in job.seeds

    def advance(self, to: int) -> StepStats:
        self.model.train()
        with self.exact():
            return advance_by(self, one_step(self, self._train), to)

    def _train(self) -> float:
        """One update. Returns the loss; NaN, and no update, if it or the gradient is not finite."""
        x, y = self._batch()
        loss = F.cross_entropy(self.model(x), y)
        gradients = torch.autograd.grad(loss, self.trained)
        if not self.job.dense_slots:
            for index, keep in self.keep:
                gradients[index].mul_(keep)
        value = clip(loss, gradients, self.job.clip)
        if math.isfinite(value):
            self._update(gradients)
        return value

    def _update(self, gradients: Sequence[Tensor]) -> None:
        update(self.optimizer, self.trained, gradients, rate_at(self.job, self.step))
        self.updates += 1
        if self.job.dense_slots:  # the slots move what was removed
            with torch.no_grad():
                for index, keep in self.keep:
                    self.trained[index].masked_fill_(keep == 0, 0)

    def _batch(self) -> tuple[Tensor, Tensor]:
        """The batch of this step; torch is seeded for what the network draws."""
        x, y = self.feed.batch(self.step)
        if self.draws:
            torch.manual_seed(self.feed.dropout_seed(self.step))
        return x, y

    def evaluate(self, split: str) -> Metrics:
        with self.exact():
            return evaluate(self.model, self.feed, split)

    def state(self) -> State:
        return copied(self.look())

    def look(self) -> State:
        slots = read_slots(self.optimizer, self.parameters)
        return State(
            self.step,
            {name: p.detach().cpu() for name, p in self.parameters.items()},
            {name: b.detach().cpu() for name, b in self.model.named_buffers()},
            self.mask,
            {slot: {name: t.cpu() for name, t in of.items()} for slot, of in slots.items()},
            self.updates,
            self.job.dense_slots,
        )

    def snapshot(self) -> _Snapshot:
        """A copy of the weights and buffers."""
        return _Snapshot(copied(replace(self.look(), slots={})))

    def return_to(self, state: State) -> None:
        """Take the weights and buffers of a state, to be evaluated."""
        load_weights(self.model, state)

    @torch.no_grad()
    def kept(self) -> Tensors:
        mask: Mapping[str, Tensor] = self.mask or {}
        return {
            name: self.parameters[name][_places(keep, self.device)].cpu()
            for name, keep in mask.items()
        }

    def gradient(self) -> Tensors:
        buffers = {name: b.detach().clone() for name, b in self.model.named_buffers()}
        self.model.train()
        with self.exact():
            x, y = self._batch()
            gradients = torch.autograd.grad(F.cross_entropy(self.model(x), y), self.trained)
        for name, buffer in self.model.named_buffers():  # batch norm has counted this batch
            buffer.copy_(buffers[name])
        return {name: g.cpu() for name, g in zip(self.parameters, gradients, strict=True)}

    @torch.no_grad()
    def remask(
        self, mask: Mask, values: Tensors | None = None, grown: Tensors | None = None
    ) -> None:
        started = newly_kept(self.mask, mask) if grown is None else grown
        first = values or {}
        before: Mapping[str, Tensor] = self.mask or {}
        for name, keep in mask.items():
            parameter = self.parameters[name]
            gone = before[name] & ~keep if name in before else ~keep  # the rest is 0 already
            anew = started.get(name)
            zero = _places(gone if anew is None else gone | anew, self.device)
            slots = slots_of(self.optimizer, parameter).values()
            for tensor in [parameter] if self.job.dense_slots else [parameter, *slots]:
                tensor[zero] = 0
            if anew is not None and name in first:
                parameter[_places(anew, self.device)] = first[name].to(parameter)
        self.mask = mask
        self.keep = self._float_masks()

    @torch.no_grad()
    def perturb(self, change: Perturbation) -> None:
        for name, keep in (self.mask or {}).items():
            parameter, places = self.parameters[name], _places(keep, self.device)
            parameter[places] = change(name, parameter[places].cpu()).to(parameter)

    def skip(self) -> None:
        self.step += 1

    def _float_masks(self) -> list[tuple[int, Tensor]]:
        """Index of a pruned parameter, and its mask as floats.

        Weights and slots start masked and every rule moves a weight only by its gradient, its slots
        and itself, so masking the gradient alone keeps zeros exact. A float product costs 6 % of a
        LeNet step, a boolean fill 50 % or more.
        """
        mask: Mapping[str, Tensor] = self.mask or {}
        return [
            (index, mask[name].to(self.device, parameter.dtype))
            for index, (name, parameter) in enumerate(self.parameters.items())
            if name in mask and not bool(mask[name].all())
        ]


def _places(chosen: Tensor, device: torch.device) -> tuple[Tensor, ...]:
    """Where a tensor of booleans is true, as an index that any memory layout takes."""
    return chosen.to(device).nonzero(as_tuple=True)
