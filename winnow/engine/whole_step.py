"""A whole training step as one function of tensors: what a compiler is given.

Forward and backward pass, masked gradients, clipping, the check for divergence and the optimizer's
update; it changes its tensors in place and asks nothing of the host.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from winnow.engine.base import Job
from winnow.engine.dropout import Dropouts

_SLOTS = {"adam": ("exp_avg", "exp_avg_sq"), "adamw": ("exp_avg", "exp_avg_sq")} | dict.fromkeys(
    ("momentum", "nesterov"), ("momentum_buffer",)
)


@dataclass(frozen=True)
class StepTensors:
    """What a step changes (weights, buffers, slots → parameter → tensor), and the float masks."""

    weights: dict[str, Tensor]
    buffers: dict[str, Tensor]
    slots: dict[str, dict[str, Tensor]]
    keep: dict[str, Tensor]

    def all(self) -> list[Tensor]:
        """What a step changes, in a fixed order."""
        groups = [self.weights, self.buffers, *self.slots.values()]
        return [tensor for group in groups for tensor in group.values()]


def slot_names(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The slots of an optimizer, as torch names them."""
    if spec["name"] == "rmsprop":
        return ("square_avg", "momentum_buffer") if spec["momentum"] else ("square_avg",)
    return _SLOTS.get(spec["name"], ())


def scalars(spec: Mapping[str, Any], rate: float, updates: int) -> tuple[float, float, float]:
    """What changes from update to update: the rate and Adam's two corrections of bias.

    ``updates``: how many were made before this one.
    """
    b1, b2 = spec.get("betas", (0.0, 0.0))
    t = updates + 1
    return rate, rate / (1 - b1**t), 1 / math.sqrt(1 - b2**t)


BoundStep = Callable[[Tensor, Tensor, Sequence[Tensor], Tensor], Tensor]
"""A step of some tensors: (pixels, labels, dropout factors, scalars) → (loss, norm)."""

WholeStep = Callable[[StepTensors, Tensor, Tensor, Sequence[Tensor], Tensor], Tensor]


def make_step(
    model: nn.Module,
    dropouts: Dropouts,
    job: Job,
    normalised: Callable[[Tensor], Tensor],
    layout: torch.memory_format,
    bf16: bool,
    sticky: bool = False,
) -> WholeStep:
    """The step of a job, as a function of its tensors too. ``layout``: of images in memory.

    Where the loss or the norm of the masked gradient is not finite, weights and slots stay; buffers
    have seen the forward pass then, as in the dense engine. ``sticky``: the scalars end in one
    more, which is 0 once a step was not finite; from then on nothing changes, buffers neither.
    """

    def step(
        t: StepTensors, pixels: Tensor, labels: Tensor, drops: Sequence[Tensor], now: Tensor
    ) -> Tensor:
        trained = {n: w.detach().requires_grad_() for n, w in t.weights.items()}
        before = {n: b.clone() for n, b in t.buffers.items()} if sticky else {}
        dropouts.give(drops)
        x = normalised(pixels)
        x = x.contiguous(memory_format=layout)
        with torch.enable_grad():
            with _in_bf16(x.device) if bf16 else contextlib.nullcontext():
                logits = functional_call(model, {**trained, **t.buffers}, (x,))
            loss = F.cross_entropy(logits.float(), labels)
            gradients = torch.autograd.grad(loss, list(trained.values()))
        masked = masked_gradients(t, gradients)
        norm = torch.stack([g.norm() for g in masked.values()]).norm()
        seen = torch.stack([loss.detach(), norm])
        fine = seen.isfinite().all()
        if sticky:
            fine = fine & (now[3] != 0)
            keep_buffers(t, before, now[3] != 0)
        factor = torch.where(norm > job.clip, job.clip / (norm + 1e-6), 1.0) if job.clip else None
        for name, gradient in masked.items():
            bounded = gradient if factor is None else gradient * factor
            update_where(fine, t, name, bounded, now, job)
        return seen

    return step


def _in_bf16(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16)


def masked_gradients(t: StepTensors, gradients: Sequence[Tensor]) -> dict[str, Tensor]:
    """The gradients of the weights, in their order, by name; those of removed weights are 0."""
    named = zip(t.weights, gradients, strict=True)
    return {n: g * t.keep[n] if n in t.keep else g for n, g in named}


def keep_buffers(t: StepTensors, before: Mapping[str, Tensor], going: Tensor) -> None:
    """Give buffers their values from before a step where it was none; ``going``: a boolean that
    broadcasts to rows of them.
    """
    for name, old in before.items():
        buffer = t.buffers[name]
        buffer.copy_(torch.where(_spread(going, buffer), buffer, old))


def update_where(fine: Tensor, t: StepTensors, name: str, g: Tensor, now: Tensor, job: Job) -> None:
    """Move a weight and its slots by torch's rule, in place, where ``fine``: one boolean, or one
    for each row.
    """
    fine = _spread(fine, g)
    old = {slot: tensors[name] for slot, tensors in t.slots.items()}
    w, new = _rule(job.optimizer, t.weights[name], g, old, now)
    t.weights[name].copy_(torch.where(fine, w, t.weights[name]))
    for slot, value in new.items():
        old[slot].copy_(torch.where(fine, value, old[slot]))


def _spread(rows: Tensor, like: Tensor) -> Tensor:
    """Numbers of rows (R,), or one number, as they broadcast to a tensor (R, …)."""
    return rows.view(-1, *[1] * (like.ndim - 1)) if rows.ndim else rows


def _rule(
    spec: Mapping[str, Any], w: Tensor, g: Tensor, old: Mapping[str, Tensor], now: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """The updated weight and slots; a momentum of 0 before the first update, as in torch."""
    rate, corrected, root = now[0], now[1], now[2]
    decay, name = spec["weight_decay"], spec["name"]
    if name == "adamw":
        w = w * (1 - rate * decay)
    elif decay:
        g = g + decay * w
    if name in ("adam", "adamw"):
        b1, b2 = spec["betas"]
        m = old["exp_avg"] + (g - old["exp_avg"]) * (1 - b1)
        v = old["exp_avg_sq"] * b2 + g * g * (1 - b2)
        return w - corrected * m / (v.sqrt() * root + spec["eps"]), {"exp_avg": m, "exp_avg_sq": v}
    if name == "sgd":
        return w - rate * g, {}
    if name == "rmsprop":
        v = old["square_avg"] * spec["decay"] + g * g * (1 - spec["decay"])
        moved = g / (v.sqrt() + spec["eps"])
        if not spec["momentum"]:
            return w - rate * moved, {"square_avg": v}
        u = old["momentum_buffer"] * spec["momentum"] + moved
        return w - rate * u, {"square_avg": v, "momentum_buffer": u}
    u = old["momentum_buffer"] * spec["momentum"] + g
    moved = g + spec["momentum"] * u if name == "nesterov" else u
    return w - rate * moved, {"momentum_buffer": u}
