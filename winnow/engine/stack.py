"""Networks of one kind that train together, as stacked tensors of R rows: (R, …)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow.engine.base import Job, Metrics, StepStats
from winnow.engine.batched import Batched
from winnow.engine.dropout import has_dropout
from winnow.engine.feed import Feed, to_unit_norm
from winnow.engine.learning_rate import rate_at
from winnow.engine.optimizer import clip_factor, make_optimizer, read_slots, update, write_slots
from winnow.engine.recorded.exactness import exact_numbers
from winnow.state import State, Tensors

_EVALUATION_BATCH = 1000  # images of all rows together


class Stack:
    """R networks in training, updated by torch's own optimizer on the stacked parameters.

    Its rules act number by number, so that a row's update is that of the dense engine. Rows without
    a job are dummies: zeros that see the images of another row, and whose numbers nobody reads.
    ``parted``: what became of the rows that diverged; they train on as dummies, since with fewer
    rows the others would sum in another order.
    """

    def __init__(
        self,
        jobs: Mapping[int, Job],
        states: Mapping[int, State],
        width: int,
        device: torch.device,
    ) -> None:
        """``jobs`` and ``states`` by row, all states at the same step and masked; ``width``: R."""
        assert all(0 <= row < width for row in jobs), "a row outside of the stack"
        first = min(jobs)
        self.job, self.width, self.device = jobs[first], width, device
        model = self.job.build()
        self.drops_units = has_dropout(model)
        self.batched = Batched(model, tuple(self.job.data.splits["train"].images.shape[1:]))
        moved: dict[int, Tensor] = {}
        self.feeds = {row: Feed(job, device, moved) for row, job in jobs.items()}
        self.fed = [row if row in jobs else first for row in range(width)]
        self.live = set(jobs)
        self.parted: dict[int, tuple[StepStats, State]] = {}
        self._losses = dict.fromkeys(jobs, (0, 0.0))
        self._evaluated: dict[str, tuple[int, Mapping[int, Metrics]]] = {}
        self._load(states, states[first])

    def _load(self, states: Mapping[int, State], like: State) -> None:
        self.masks = {row: state.mask for row, state in states.items()}
        self.step, self.updates = like.step, like.updates
        weights = self._stacked({row: state.weights for row, state in states.items()}, like.weights)
        self.weights = {name: nn.Parameter(weight) for name, weight in weights.items()}
        self.buffers = self._stacked(
            {row: state.buffers for row, state in states.items()}, like.buffers
        )
        self.optimizer = make_optimizer(self.weights, self.job.optimizer)
        slots = {
            slot: self._stacked({row: s.slots[slot] for row, s in states.items()}, like.slots[slot])
            for slot in like.slots
        }
        write_slots(self.optimizer, self.weights, slots, self.updates)
        self.keep = self._float_masks()

    def _stacked(self, rows: Mapping[int, Tensors], like: Tensors) -> dict[str, Tensor]:
        """The tensors of all rows; zeros for the dummies."""
        return {
            name: torch.stack(
                [
                    rows[row][name] if row in rows else torch.zeros_like(tensor)
                    for row in range(self.width)
                ]
            ).to(self.device)
            for name, tensor in like.items()
        }

    def _float_masks(self) -> list[tuple[int, Tensor]]:
        """Index of a parameter that a row prunes, and the masks of all rows as floats."""
        pruned = []
        for index, (name, weight) in enumerate(self.weights.items()):
            keep = torch.ones_like(weight)
            for row, mask in self.masks.items():
                if mask is not None and name in mask:
                    keep[row].copy_(mask[name])
            if not bool(keep.all()):
                pruned.append((index, keep))
        return pruned

    def advance(self, to: int) -> None:
        """Train all rows up to iteration ``to``."""
        while self.live and self.step < to:
            with exact_numbers(self.device):
                losses = self._train()
            for row in self.live:
                seen, total = self._losses[row]
                self._losses[row] = seen + 1, total + losses[row]
            self.step += 1

    def stats(self, row: int) -> StepStats:
        """What became of a row since this was last asked."""
        if row in self.parted:
            return self.parted[row][0]
        (seen, total), self._losses[row] = self._losses[row], (0, 0.0)
        return StepStats(self.step, total / seen if seen else math.nan, seen=seen)

    def _train(self) -> list[float]:
        """One update, but of rows that diverge. Returns the losses of all rows."""
        x, y, drops = self._batch()
        losses = self.batched.losses(self.weights, self.buffers, x, y, drops)
        gradients = torch.autograd.grad(losses.sum(), list(self.weights.values()))
        for index, keep in self.keep:
            gradients[index].mul_(keep)
        norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        values, sizes = torch.stack([losses.detach(), norms]).tolist()
        for row in sorted(self.live):
            if not (math.isfinite(values[row]) and math.isfinite(sizes[row])):
                self._part(row)
        if self.live:
            self._clip(gradients, sizes)
            update(self.optimizer, self.weights.values(), gradients, rate_at(self.job, self.step))
            self.updates += 1
        return list(values)

    def _part(self, row: int) -> None:
        """Leave a row that diverges as it stands."""
        stats = StepStats(self.step, math.nan, diverged_at=self.step + 1)
        state = self.state(row)
        self.live.remove(row)
        self.parted[row] = stats, state

    def _clip(self, gradients: Sequence[Tensor], norms: Sequence[float]) -> None:
        limit = self.job.clip
        if limit is None or all(norms[row] <= limit for row in self.live):
            return
        factors = torch.tensor([clip_factor(norm, limit) for norm in norms], device=self.device)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))

    def _batch(self) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Images (R, B, C, H, W), labels (R, B) and the factors of dropout of this step."""
        batches = {row: feed.pixels(self.step) for row, feed in self.feeds.items()}
        x, y = (torch.stack(rows) for rows in zip(*(batches[row] for row in self.fed), strict=True))
        return self._normalised(x), y, self._drops(len(y[0]))

    def _normalised(self, pixels: Tensor) -> Tensor:
        feeds = [self.feeds[row] for row in self.fed]
        scale = torch.stack([feed.scale for feed in feeds]).unsqueeze(1)
        shift = torch.stack([feed.shift for feed in feeds]).unsqueeze(1)
        scaled = pixels.to(torch.float32).mul_(scale).add_(shift)
        return to_unit_norm(scaled) if self.job.data.unit_norm else scaled

    def _drops(self, batch: int) -> list[Tensor]:
        if not self.drops_units:
            return []
        draw = self.batched.dropouts.draw
        drawn = {
            row: draw(feed.dropout_seed(self.step), batch, self.device)
            for row, feed in self.feeds.items()
        }
        return [torch.stack(call) for call in zip(*(drawn[row] for row in self.fed), strict=True)]

    def evaluate(self, split: str, row: int) -> Metrics:
        """Loss and accuracy of a row; those of the others, computed with it, are remembered."""
        step, metrics = self._evaluated.get(split, (-1, {}))
        if step != self.step:
            with exact_numbers(self.device):
                metrics = self._evaluate(split)
            self._evaluated[split] = self.step, metrics
        return metrics[row]

    def _evaluate(self, split: str) -> dict[int, Metrics]:
        count = self.feeds[self.fed[0]].count(split)
        loss = torch.zeros(self.width, dtype=torch.float64)
        correct = torch.zeros(self.width, dtype=torch.int64)
        batch = max(1, _EVALUATION_BATCH // self.width)
        rows = sorted(self.feeds)
        for parts in zip(*(self.feeds[row].whole(split, batch) for row in rows), strict=True):
            given = dict(zip(rows, parts, strict=True))
            x, y = (
                torch.stack(side) for side in zip(*(given[row] for row in self.fed), strict=True)
            )
            logits = self.batched.logits(self.weights, self.buffers, x)
            each = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
            loss += each.view(self.width, -1).sum(1).cpu()
            correct += (logits.argmax(2) == y).sum(1).cpu()
        pairs = zip((loss / count).tolist(), (correct.double() / count).tolist(), strict=True)
        return {row: Metrics(*pair) for row, pair in enumerate(pairs)}

    def state(self, row: int) -> State:
        """A copy of where a row stands."""
        if row in self.parted:
            return self.parted[row][1]
        slots = read_slots(self.optimizer, self.weights)
        return State(
            self.step,
            _of_row(self.weights, row),
            _of_row(self.buffers, row),
            self.masks[row],
            {slot: _of_row(tensors, row) for slot, tensors in slots.items()},
            self.updates,
        )


def _of_row(tensors: Mapping[str, Tensor], row: int) -> dict[str, Tensor]:
    return {name: t[row].detach().cpu().clone() for name, t in tensors.items()}
