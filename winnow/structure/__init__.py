"""Structured pruning: whole units (neurons, channels) go, with all that reads and writes them.

``coupling`` finds which units go together, ``units`` prunes them.
"""

from winnow.structure.coupling import Structure, structure_of
from winnow.structure.units import (
    keep_units,
    prune_units,
    random_units,
    unit_scores,
    weights_kept,
)

__all__ = [
    "Structure",
    "keep_units",
    "prune_units",
    "random_units",
    "structure_of",
    "unit_scores",
    "weights_kept",
]
