"""Data-dependent pruning: score = |w·gᵏ|, g the mean absolute gradient of single examples."""

from __future__ import annotations

from torch import Tensor

from winnow.criteria.base import Subject
from winnow.criteria.examples import mean_moments
from winnow.criteria.statistics import NormStatistics, use_statistics


def data_dependent(
    subject: Subject, *, power: float = 1.0, statistics: NormStatistics = "auto"
) -> dict[str, Tensor]:
    """|w·gᵖ|, g = E |∂ℓ/∂w| over all examples of the data, one at a time.

    "Data-dependent pruning to find the winning lottery ticket": Train-wg with trained weights,
    Init-wg with initial ones. ``power`` 1 is the paper's; others (λ) are its future work, 0 gives
    the magnitude. The paper does not say how single examples meet batch norm: it runs with its
    running statistics here, estimated by one forward pass over the data if it has none yet (see
    ``use_statistics``). Costs about one forward and backward pass. Needs data and a loss that is
    a plain mean, or one for each example.
    """
    use_statistics(subject, statistics)
    g = mean_moments(subject, "abs")
    return {n: (w.detach() * g[n] ** power).abs() for n, w in subject.weights.items()}
