"""Magnitude: score = |w|."""

from __future__ import annotations

from torch import Tensor

from winnow.criteria.base import Subject
from winnow.criteria.traits import traits


@traits(examples="none", passes=0)
def magnitude(subject: Subject) -> dict[str, Tensor]:
    """|w|. Frankle & Carbin 2019, section 1; Han et al. 2015. Needs neither data nor loss."""
    return {name: weight.detach().abs() for name, weight in subject.weights.items()}
