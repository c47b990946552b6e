"""Lanes of one network that stand at the same step, as stacked tensors (R, …)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow.engine.base import Job, Metrics, StepStats
from winnow.engine.batched import Batched
from winnow.engine.dropout import has_dropout
from winnow.engine.feed import Feed
from winnow.engine.learning_rate import learning_rate
from winnow.engine.optimizer import make_optimizer, read_slots, set_gradients, write_slots
from winnow.state import State

_EVALUATION_BATCH = 1000  # images of all lanes together


class Stack:
    """R networks in training, updated by torch's own optimizer on the stacked parameters.

    Its rules act number by number, so that a lane's update is that of the dense engine.
    """

    def __init__(
        self,
        lanes: Sequence[int],
        jobs: Sequence[Job],
        states: Sequence[State],
        device: torch.device,
    ) -> None:
        """``lanes``: the numbers by which the session knows the jobs. The states are masked."""
        self.device, self.job = device, jobs[0]
        model = self.job.build()
        self.drops_units = has_dropout(model)
        self.batched = Batched(model, tuple(jobs[0].data.splits["train"].images.shape[1:]))
        moved: dict[int, Tensor] = {}
        self.parted: list[tuple[int, State]] = []
        self._load(lanes, [Feed(job, device, moved) for job in jobs], states)

    def _load(self, lanes: Sequence[int], feeds: Sequence[Feed], states: Sequence[State]) -> None:
        """Take the lanes' states."""
        self.lanes, self.feeds = list(lanes), list(feeds)
        self.masks = [state.mask for state in states]
        if not states:
            return
        self.step, self.updates = states[0].step, states[0].updates
        weights = self._stacked([state.weights for state in states])
        self.weights: dict[str, nn.Parameter] = {
            name: nn.Parameter(weight) for name, weight in weights.items()
        }
        self.buffers = self._stacked([state.buffers for state in states])
        self.optimizer = make_optimizer(self.weights, self.job.optimizer)
        slots = {
            slot: self._stacked([state.slots[slot] for state in states]) for slot in states[0].slots
        }
        write_slots(self.optimizer, self.weights, slots, self.updates)
        self.keep = self._float_masks()

    def _stacked(self, values: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return {n: torch.stack([v[n] for v in values]).to(self.device) for n in values[0]}

    def _float_masks(self) -> list[tuple[int, Tensor]]:
        """Index of a parameter that a lane prunes, and the masks of all lanes as floats."""
        found = []
        for index, (name, weight) in enumerate(self.weights.items()):
            keep = torch.ones_like(weight)
            for row, mask in zip(keep, self.masks, strict=True):
                if mask is not None and name in mask:
                    row.copy_(mask[name])
            if not bool(keep.all()):
                found.append((index, keep))
        return found

    def advance(self, to: int) -> dict[int, StepStats]:
        """Train up to iteration ``to``; lanes that diverge are left in ``parted``."""
        total = dict.fromkeys(self.lanes, 0.0)
        first = self.step
        diverged: dict[int, StepStats] = {}
        while self.lanes and self.step < to:
            losses = self._one_step()
            for lane, loss in losses.items():
                if math.isfinite(loss):
                    total[lane] += loss
                else:
                    diverged[lane] = StepStats(self.step, loss, diverged_at=self.step + 1)
            self.step += 1
        count = self.step - first
        made = {
            n: StepStats(self.step, total[n] / count if count else math.nan) for n in self.lanes
        }
        return made | diverged

    def _one_step(self) -> dict[int, float]:
        """One update. Gives each lane's loss: NaN, and no update, where it or the norm is not
        finite."""
        x, y, drops = self._batch()
        losses = self.batched.losses(self.weights, self.buffers, x, y, drops)
        gradients = torch.autograd.grad(losses.sum(), list(self.weights.values()))
        for index, keep in self.keep:
            gradients[index].mul_(keep)
        norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        values, sizes = torch.stack([losses.detach(), norms]).tolist()
        good = [math.isfinite(v) and math.isfinite(s) for v, s in zip(values, sizes, strict=True)]
        found = {
            lane: float(value) if fine else math.nan
            for lane, value, fine in zip(self.lanes, values, good, strict=True)
        }
        if not all(good):
            rows = [row for row, fine in enumerate(good) if fine]
            self._part(rows)
            gradients, sizes = tuple(g[rows] for g in gradients), [sizes[row] for row in rows]
        if self.lanes:
            self._clip(gradients, sizes)
            self._update(gradients)
        return found

    def _part(self, rows: Sequence[int]) -> None:
        """Keep these lanes; the others leave as they stand."""
        states = self.states()
        away = [row for row in range(len(states)) if row not in rows]
        self.parted += [(self.lanes[row], states[row]) for row in away]
        kept = [(self.lanes[row], self.feeds[row], states[row]) for row in rows]
        self._load([k[0] for k in kept], [k[1] for k in kept], [k[2] for k in kept])

    def _clip(self, gradients: Sequence[Tensor], norms: Sequence[float]) -> None:
        limit = self.job.clip
        if limit is None or max(norms) <= limit:
            return
        factors = torch.tensor([limit / (n + 1e-6) if n > limit else 1.0 for n in norms])
        factors = factors.to(self.device)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))

    def _update(self, gradients: Sequence[Tensor]) -> None:
        job = self.job
        rate = learning_rate(self.step, job.steps, job.optimizer["lr"], job.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        set_gradients(self.weights.values(), gradients)
        self.optimizer.step()
        self.updates += 1

    def _batch(self) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Images (R, B, C, H, W), labels (R, B) and the factors of dropout of this step."""
        batches = [feed.pixels(self.step) for feed in self.feeds]
        x, y = (torch.stack(parts) for parts in zip(*batches, strict=True))
        return self._normalised(x), y, self._drops(len(y[0]))

    def _normalised(self, pixels: Tensor) -> Tensor:
        scale, shift = (
            torch.stack([getattr(feed, name) for feed in self.feeds]).unsqueeze(1)
            for name in ("scale", "shift")
        )
        return pixels.to(torch.float32).mul_(scale).add_(shift)

    def _drops(self, batch: int) -> list[Tensor]:
        if not self.drops_units:
            return []
        draw = self.batched.dropouts.draw
        lanes = [draw(feed.dropout_seed(self.step), batch, self.device) for feed in self.feeds]
        return [torch.stack(call) for call in zip(*lanes, strict=True)]

    def evaluate(self, split: str) -> list[Metrics]:
        """Loss and accuracy of each lane."""
        count, lanes = self.feeds[0].count(split), len(self.lanes)
        loss = torch.zeros(lanes, dtype=torch.float64)
        correct = torch.zeros(lanes, dtype=torch.int64)
        batch = max(1, _EVALUATION_BATCH // lanes)
        for parts in zip(*(feed.whole(split, batch) for feed in self.feeds), strict=True):
            x, y = (torch.stack(side) for side in zip(*parts, strict=True))
            logits = self.batched.logits(self.weights, self.buffers, x)
            each = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
            loss += each.view(lanes, -1).sum(1).cpu()
            correct += (logits.argmax(2) == y).sum(1).cpu()
        pairs = zip((loss / count).tolist(), (correct / count).tolist(), strict=True)
        return [Metrics(*pair) for pair in pairs]

    def states(self) -> list[State]:
        """Copies of where the lanes stand."""
        slots = read_slots(self.optimizer, self.weights)
        return [
            State(
                self.step,
                _row(self.weights, row),
                _row(self.buffers, row),
                mask,
                {slot: _row(tensors, row) for slot, tensors in slots.items()},
                self.updates,
            )
            for row, mask in enumerate(self.masks)
        ]


def _row(tensors: Mapping[str, Tensor], row: int) -> dict[str, Tensor]:
    return {name: t[row].detach().cpu().clone() for name, t in tensors.items()}
