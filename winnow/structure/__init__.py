"""Structured pruning: whole units (neurons, channels) go, with all that reads and writes them.

``coupling`` finds which units go together, ``units`` prunes them.
"""

from winnow.structure.coupling import Structure, structure_of
from winnow.structure.units import prune_units, unit_scores

__all__ = ["Structure", "prune_units", "structure_of", "unit_scores"]
