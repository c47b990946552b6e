"""Several networks of one kind, batched as one, as what a lane trains: through torch.func.

For linear layers, whose batched products are one kernel. Batched convolutions are grouped ones,
which cuDNN runs slowly: such networks train in lanes of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from winnow.engine.base import Job
from winnow.engine.batched import Batched
from winnow.engine.feed import Feed, to_unit_norm
from winnow.engine.laid_out import state_on_host
from winnow.engine.recorded.ledger import fine
from winnow.engine.recorded.steps import BoundSteps, Codes
from winnow.engine.whole_step import (
    StepTensors,
    keep_buffers,
    masked_gradients,
    slot_names,
    update_where,
)
from winnow.state import State, Tensors


class BatchedRows:
    """R networks. Rows without a job are dummies of zeros, which see the first row's images."""

    def __init__(
        self,
        jobs: Mapping[int, Job],
        states: Mapping[int, State],
        feeds: Sequence[Feed],
        prepare: Callable[[BatchedRows], None] | None = None,
    ) -> None:
        """By row, the states masked and at one step; ``feeds``: of every row, dummies too.
        ``prepare``: what is done with this before its first step, such as to compile it.
        """
        self.job, self.rows, self.feeds = jobs[min(jobs)], len(feeds), feeds
        self._prepare, device = prepare, feeds[0].device
        images = feeds[0].splits["train"].in_memory
        self.batched = Batched(self.job.build(), tuple(images.shape[1:]))
        self.masks = {row: state.mask for row, state in states.items()}
        self.tensors = _stacked(self.job, states, self.rows, device)
        scales, shifts = ([getattr(f, of) for f in feeds] for of in ("scale", "shift"))
        self.scale, self.shift = (torch.stack(t).unsqueeze(1) for t in (scales, shifts))
        shape = (self.rows, min(self.job.batch, feeds[0].count("train")))
        x = torch.zeros((*shape, *images.shape[1:]), dtype=images.dtype, device=device)
        y = torch.zeros(shape, dtype=torch.int64, device=device)
        drops = [
            torch.stack([d] * self.rows) for d in self.batched.dropouts.draw(0, shape[1], device)
        ]
        example = x, y, drops, torch.zeros(3 + self.rows, device=device)
        self.steps = BoundSteps(self._whole, self.tensors, example)

    def prepare(self) -> None:
        """Make ready what steps need, once; evaluation needs nothing."""
        if self._prepare is not None:
            self._prepare(self)

    def compile(self, backend: str, codes: Codes) -> None:
        """Compile the step of a full batch, unless ``codes`` has it. Raises CompilerError."""
        scaling = tuple((feed.job.data.mean, feed.job.data.std) for feed in self.feeds)
        self.steps.compile(backend, codes, (scaling, self.job.data.unit_norm))

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels (R, B, C, H, W) as the networks take them, each row by its own scaling."""
        scaled = pixels.to(torch.float32, copy=True).mul_(self.scale).add_(self.shift)
        return to_unit_norm(scaled) if self.job.data.unit_norm else scaled

    def step(
        self, x: Tensor, y: Tensor, drops: Sequence[Tensor], now: Tensor, going: Tensor
    ) -> Tensor:
        """One update of the rows that go on. Returns all losses and norms (2, R)."""
        return self.steps.make(x, y, drops, torch.cat([now, going]))

    def _whole(
        self, t: StepTensors, x: Tensor, y: Tensor, drops: Sequence[Tensor], now: Tensor
    ) -> Tensor:
        """A whole step, as `make_step`'s of one network; the scalars end in R that say which rows
        go on.
        """
        limit, going = self.job.clip, now[3:]
        trained = {n: w.detach().requires_grad_() for n, w in t.weights.items()}
        before = {n: b.clone() for n, b in t.buffers.items()}
        with torch.enable_grad():
            losses = self.batched.losses(trained, t.buffers, self.normalised(x), y, drops)
            gradients = torch.autograd.grad(losses.sum(), list(trained.values()))
        masked = masked_gradients(t, gradients)
        norms = torch.stack([g.flatten(1).norm(dim=1) for g in masked.values()]).norm(dim=0)
        seen = torch.stack([losses.detach(), norms])
        good = fine(seen, going)
        keep_buffers(t, before, going != 0)
        if limit is not None:
            factors = torch.where(norms > limit, limit / (norms + 1e-6), 1.0)
            masked = {n: g * factors.view(-1, *[1] * (g.ndim - 1)) for n, g in masked.items()}
        for name, gradient in masked.items():
            update_where(good, t, name, gradient, now, self.job)
        return seen

    def logits(self, pixels: Tensor) -> Tensor:
        """The logits (R, B, classes) of pixels (R, B, C, H, W), in evaluation mode."""
        t = self.tensors
        return self.batched.logits(t.weights, t.buffers, self.normalised(pixels))

    def draw(self, step: int, count: int) -> list[Tensor]:
        """The factors of dropout (R, …) in a step of so many examples, call by call."""
        if not self.batched.dropouts.layers:
            return []
        draw = self.batched.dropouts.draw
        drawn = [draw(feed.dropout_seed(step), count, feed.device) for feed in self.feeds]
        return [torch.stack(call) for call in zip(*drawn, strict=True)]

    def state(self, row: int, step: int, updates: int) -> State:
        """A copy, on the host, of where a row stands."""
        t = self.tensors
        mine = StepTensors(
            _of_row(t.weights, row),
            _of_row(t.buffers, row),
            {slot: _of_row(tensors, row) for slot, tensors in t.slots.items()},
            {},
        )
        return state_on_host(mine, step, updates, self.masks[row])


def _of_row(tensors: Tensors, row: int) -> dict[str, Tensor]:
    return {name: tensor[row] for name, tensor in tensors.items()}


def _stacked(job: Job, states: Mapping[int, State], rows: int, device: torch.device) -> StepTensors:
    """The tensors of all rows, zeros for dummies; and the masks of those that prune."""
    like = states[min(states)]

    def stack(of: Mapping[int, Tensors], names: Tensors) -> dict[str, Tensor]:
        return {
            name: torch.stack(
                [of[row][name] if row in of else torch.zeros_like(t) for row in range(rows)]
            ).to(device)
            for name, t in names.items()
        }

    slots = {}
    for slot in slot_names(job.optimizer):
        none = {name: torch.zeros_like(w) for name, w in like.weights.items()}
        slots[slot] = stack({r: s.slots.get(slot, none) for r, s in states.items()}, none)
    keep = {}
    for name, weight in like.weights.items():
        masks = {row: s.mask[name] for row, s in states.items() if s.mask and name in s.mask}
        if not all(bool(mask.all()) for mask in masks.values()):
            ones = torch.ones_like(weight)
            kept = [masks[r].to(weight.dtype) if r in masks else ones for r in range(rows)]
            keep[name] = torch.stack(kept).to(device)
    return StepTensors(
        stack({row: s.weights for row, s in states.items()}, like.weights),
        stack({row: s.buffers for row, s in states.items()}, like.buffers),
        slots,
        keep,
    )
