"""Moments of the gradients of single examples, for criteria that look at examples one at a time."""

from __future__ import annotations

from torch import Tensor

from winnow.criteria.base import PREFIX, Subject
from winnow.moments import moments
from winnow.moments.kinds import MomentKind


def mean_moments(subject: Subject, kind: MomentKind) -> dict[str, Tensor]:
    """The mean over all examples of |g| or g² of each scored weight (see ``moments``)."""
    names = {f"{PREFIX}{name}": name for name in subject.weights}
    found = moments(subject.network(), subject.batches(), subject.loss, names, kind)
    return {name: found[long] for long, name in names.items()}
