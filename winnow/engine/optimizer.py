"""torch's own optimizers, fused where torch can, with their slots as tensors by parameter name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop


def make_optimizer(parameters: Mapping[str, nn.Parameter], spec: Mapping[str, Any]) -> Optimizer:
    """The optimizer of a resolved spec: ``name``, ``lr``, ``weight_decay`` and its options."""
    values = list(parameters.values())
    usual: dict[str, Any] = {"lr": spec["lr"], "weight_decay": spec["weight_decay"]}
    common = usual | {"fused": True}
    match spec["name"]:
        case "adam":
            return Adam(values, betas=tuple(spec["betas"]), eps=spec["eps"], **common)
        case "adamw":
            return AdamW(values, betas=tuple(spec["betas"]), eps=spec["eps"], **common)
        case "sgd":
            return SGD(values, **common)
        case "momentum" | "nesterov" as rule:
            nesterov = rule == "nesterov"
            return SGD(values, momentum=spec["momentum"], nesterov=nesterov, **common)
        case "rmsprop":  # torch has none that is fused
            alpha, eps = spec["decay"], spec["eps"]
            return RMSprop(values, alpha=alpha, eps=eps, momentum=spec["momentum"], **usual)
        case other:
            raise AssertionError(f"no optimizer {other!r}")


def read_slots(
    optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]
) -> dict[str, dict[str, Tensor]]:
    """The optimizer's slots, not copied: slot → parameter name → tensor of its shape."""
    slots: dict[str, dict[str, Tensor]] = {}
    for name, parameter in parameters.items():
        for slot, value in slots_of(optimizer, parameter).items():
            slots.setdefault(slot, {})[name] = value
    return slots


def slots_of(optimizer: Optimizer, parameter: nn.Parameter) -> dict[str, Tensor]:
    """The slots of one parameter, as the optimizer holds them; none before its first update."""
    state = optimizer.state.get(parameter, {})
    return {
        slot: value.detach()
        for slot, value in state.items()
        if slot != "step" and isinstance(value, Tensor)
    }


def write_slots(
    optimizer: Optimizer,
    parameters: Mapping[str, nn.Parameter],
    slots: Mapping[str, Mapping[str, Tensor]],
    updates: int,
) -> None:
    """Give the optimizer the slots that `read_slots` gave, after ``updates`` updates."""
    for name, parameter in parameters.items():
        values = {slot: _laid_out(t[name], parameter) for slot, t in slots.items() if name in t}
        if values and not isinstance(optimizer, SGD):  # which does not count its updates
            values["step"] = torch.tensor(
                float(updates), dtype=torch.float32, device=parameter.device
            )
        if values:
            optimizer.state[parameter] = values


def set_gradients(parameters: Iterable[nn.Parameter], gradients: Sequence[Tensor]) -> None:
    """Give the parameters their gradients, in the parameters' own memory layout.

    torch's fused optimizers on the CPU (2.13) walk the memory of both side by side without a look
    at the strides: a transposed gradient, as einsum and vmap give, would update the wrong weights.
    """
    for parameter, gradient in zip(parameters, gradients, strict=True):
        same = gradient.stride() == parameter.stride()
        parameter.grad = gradient if same else _laid_out(gradient, parameter)


def clip(loss: Tensor, gradients: tuple[Tensor, ...], limit: float | None) -> float:
    """Bound the gradients' common norm by ``limit``, in place, and give the loss as a number.

    NaN, with the gradients as they were, if it or the norm is not finite.
    """
    norm = torch.stack(torch._foreach_norm(gradients)).norm()
    value, norm_value = torch.stack([loss.detach(), norm]).tolist()
    if not (math.isfinite(value) and math.isfinite(norm_value)):
        return math.nan
    if limit is not None and norm_value > limit:
        torch._foreach_mul_(gradients, clip_factor(norm_value, limit))
    return float(value)


def clip_factor(norm: float, limit: float) -> float:
    """By what a gradient of this norm is multiplied: 1, or what brings the norm to the limit."""
    return limit / (norm + 1e-6) if norm > limit else 1.0


def update(
    optimizer: Optimizer,
    parameters: Iterable[nn.Parameter],
    gradients: Sequence[Tensor],
    rate: float,
) -> None:
    """One step of the optimizer with these gradients, at this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    set_gradients(parameters, gradients)
    optimizer.step()


def _laid_out(values: Tensor, like: Tensor) -> Tensor:
    """A copy on the device, and in the memory layout, of a parameter."""
    return torch.empty_like(like, requires_grad=False).copy_(values)
