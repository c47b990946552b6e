"""Scores that a mask search starts from, in float32, beside their weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from winnow import rng


def kaiming(name: str, weight: Tensor, seed: int) -> Tensor:
    """U(−b, b), b = √(6 / ((1 + a²) fan_in)) with a² = 5."""
    bound = 1 / math.sqrt(max(math.prod(weight.shape[1:]), 1))
    return uniform(name, weight, seed).mul_(2 * bound).sub_(bound)


def uniform(name: str, weight: Tensor, seed: int) -> Tensor:
    """U(0, 1) from the stream (seed, "search", name)."""
    generator = rng.torch_generator(seed, "search", name)
    return torch.rand(weight.shape, generator=generator).to(weight.device)


def filled(weight: Tensor, value: float) -> Tensor:
    """The same everywhere."""
    return torch.full(weight.shape, value, device=weight.device)
