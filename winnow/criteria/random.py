"""Random: score = U(0, 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from winnow import rng
from winnow.criteria.base import Subject
from winnow.criteria.traits import traits
from winnow.errors import UserError


@traits(examples="none", passes=0, is_control=True)
def random(subject: Subject, *, seed: int | None = None) -> dict[str, Tensor]:
    """U(0, 1), independent of the weights: the baseline of Frankle & Carbin 2019, appendix E.

    Drawn from ``seed`` (an own stream for each name) or from the subject's generator (one stream,
    in the order of the names). UserError with neither, or with both.
    """
    if seed is None and subject.generator is None:
        raise UserError("criterion 'random' needs a seed: pass seed=0 or generator=")
    if seed is not None and subject.generator is not None:
        raise UserError(f"criterion 'random' got seed={seed} and a generator: pass one of them")
    return {name: _uniform(subject, name, weight, seed) for name, weight in subject.weights.items()}


def _uniform(subject: Subject, name: str, weight: Tensor, seed: int | None) -> Tensor:
    source = subject.random() if seed is None else rng.torch_generator(seed, "scores", name)
    return torch.rand(weight.shape, generator=source, device=source.device).to(weight.device)
