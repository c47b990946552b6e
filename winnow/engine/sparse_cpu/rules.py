"""The optimizer of a job as kernels take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.engine.sparse_cpu.kernels.update import ADAM, ADAMW, DECAY, EPS, RULES

_SLOTS: dict[str, tuple[str, ...]] = {
    "sgd": (),
    "momentum": ("momentum_buffer",),
    "nesterov": ("momentum_buffer",),
    "adam": ("exp_avg", "exp_avg_sq"),
    "adamw": ("exp_avg", "exp_avg_sq"),
}


@dataclass(frozen=True)
class UpdateRule:
    """``number``: the rule's place in `RULES`. ``slots``: what it keeps for each weight, at most 2.

    ``options``: DECAY, MOMENTUM_FACTOR, BETA1, BETA2, EPS of
    `winnow.engine.sparse_cpu.kernels.update`.
    """

    number: int
    slots: tuple[str, ...]
    options: NDArray[np.float64]

    @property
    def forgets_denormals(self) -> bool:
        """Whether slots that small move no weight: see `winnow.engine.sparse_cpu.denormals`."""
        if self.number not in (ADAM, ADAMW):
            return True
        decays = self.number == ADAM and self.options[DECAY] > 0
        return not decays and bool(self.options[EPS] >= 1e-12)


def update_rule(optimizer: Mapping[str, Any]) -> UpdateRule:
    """The rule of a job's optimizer, one of `RULES`."""
    name = optimizer["name"]
    betas = optimizer.get("betas", (0.0, 0.0))
    values = (optimizer["weight_decay"], optimizer.get("momentum", 0.0), *betas)
    options = np.array([*values, optimizer.get("eps", 0.0)], np.float64)
    return UpdateRule(RULES.index(name), _SLOTS[name], options)
