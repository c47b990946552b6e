"""The optimizer rules on flat arrays against torch's optimizers in float64.

Also run on narrower vectors, as another machine would, by `test_widths`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from winnow.engine.sparse_cpu.kernels.update import ENTRIES, RULES, set_step, update_arrays
from winnow.kernels.arrays import padded
from winnow.kernels.cache import prepare
from winnow.kernels.simd import W

DECAY, MOMENTUM, BETAS, EPS, RATE = 0.02, 0.8, (0.9, 0.99), 1e-6, 0.05
SIZE, STEPS, FACTOR = 2 * W + 3, 12, 0.7
SLOTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2, "adamw": 2}


@pytest.fixture(autouse=True, scope="module")
def _compiled():
    prepare("update", ENTRIES)


def peer(rule: str, weight: torch.Tensor) -> torch.optim.Optimizer:
    adam = {"lr": RATE, "weight_decay": DECAY, "betas": BETAS, "eps": EPS}
    if rule == "adam":
        return torch.optim.Adam([weight], **adam)
    if rule == "adamw":
        return torch.optim.AdamW([weight], **adam)
    momentum = 0 if rule == "sgd" else MOMENTUM
    nesterov = rule == "nesterov"
    return torch.optim.SGD([weight], RATE, momentum, weight_decay=DECAY, nesterov=nesterov)


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_those_of_torch(rule):
    draw = np.random.default_rng(0)
    weight = np.zeros(padded(SIZE), np.float32)
    weight[:SIZE] = draw.normal(size=SIZE)
    wide = torch.from_numpy(weight.astype(np.float64)).requires_grad_()
    optimizer = peer(rule, wide)
    first, second = (np.zeros(padded(SIZE) * (SLOTS[rule] > i), np.float32) for i in range(2))
    options = np.array([DECAY, MOMENTUM, *BETAS, EPS], np.float64)
    step = np.empty(10, np.float32)
    for t in range(1, STEPS + 1):
        gradient = np.zeros_like(weight)
        gradient[:SIZE] = draw.normal(size=SIZE)
        rate = RATE / t
        set_step(RULES.index(rule), options, rate, t, step)
        update_arrays(RULES.index(rule), step, weight, first, second, gradient, FACTOR)
        optimizer.param_groups[0]["lr"] = rate
        wide.grad = torch.from_numpy(gradient.astype(np.float64)) * FACTOR
        optimizer.step()
    np.testing.assert_allclose(weight, wide.detach(), rtol=1e-4, atol=1e-5)
    assert not weight[SIZE:].any(), "padding stays 0"
