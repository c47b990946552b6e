"""Optimal brain damage: score = w²·E[g²]/2, g the gradient of single examples."""

from __future__ import annotations

from torch import Tensor

from winnow.criteria.base import Subject
from winnow.criteria.examples import mean_moments
from winnow.criteria.statistics import NormStatistics, use_statistics


def obd(subject: Subject, *, statistics: NormStatistics = "auto") -> dict[str, Tensor]:
    """w²·E[(∂ℓ/∂w)²]/2 over all examples of the data, one at a time.

    LeCun, Denker & Solla 1990: the increase of the loss, h·w²/2, when w is removed from a trained
    network. Deviation: h is the diagonal of the empirical Fisher matrix, as in its later uses, not
    of the Hessian itself; nothing is added to it. Batch norm runs with its running statistics,
    estimated by one forward pass over the data if it has none yet (see ``use_statistics``). Costs
    about one forward and backward pass. Needs data and a loss that is a plain mean, or one for
    each example.
    """
    use_statistics(subject, statistics)
    fisher = mean_moments(subject, "square")
    return {n: w.detach() ** 2 * fisher[n] / 2 for n, w in subject.weights.items()}
