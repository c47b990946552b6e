"""The analyses that recipes can name: a table from name to what the plan and workers need of each.

The numbers come from `winnow.analysis`, whose functions know no store and no plan; here they are
given the states of runs, and what they return becomes rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from winnow.errors import unknown
from winnow.experiment.measures.connections import CONNECTIVITY
from winnow.experiment.measures.gradients import GRADIENT_NORM, GRADIENT_NORM_RATIO
from winnow.experiment.measures.histograms import HISTOGRAMS
from winnow.experiment.measures.kind import MeasureKind
from winnow.experiment.measures.masks import LAYER_DENSITIES, OVERLAP
from winnow.experiment.measures.movement import MOVEMENT_BY_MASK, SIGN_AGREEMENT, WEIGHT_MOVEMENT
from winnow.experiment.measures.pairs import BARRIER, STABILITY
from winnow.experiment.measures.paths import EFFECTIVE_DENSITY
from winnow.experiment.measures.tangent_kernel import NTK_IDENTITY

MEASURES: Mapping[str, MeasureKind] = {
    measure.name: measure
    for measure in (
        LAYER_DENSITIES,
        OVERLAP,
        STABILITY,
        BARRIER,
        WEIGHT_MOVEMENT,
        MOVEMENT_BY_MASK,
        SIGN_AGREEMENT,
        GRADIENT_NORM,
        GRADIENT_NORM_RATIO,
        HISTOGRAMS,
        EFFECTIVE_DENSITY,
        CONNECTIVITY,
        NTK_IDENTITY,
    )
}


def find_measure(name: str) -> MeasureKind:
    """The analysis of a name. Raises UserError: there is none."""
    if name not in MEASURES:
        raise unknown("analysis", name, list(MEASURES), f"There are {', '.join(MEASURES)}")
    return MEASURES[name]
