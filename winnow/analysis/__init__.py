"""Analyses of networks and masks: pure functions that know no store, no plan and no run.

The public names load on first use (PEP 562), so that ``import winnow.analysis`` imports no torch.
No module here has the name of a function: importing it would replace the name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from winnow.analysis.densities import LayerDensity, collapsed_layers, layer_densities
    from winnow.analysis.distance import WeightDistance, layer_distances, weight_distance
    from winnow.analysis.line import Line, LinePoint, line_between
    from winnow.analysis.movement import Movement, layer_movements, weight_movement
    from winnow.analysis.overlap import MaskOverlap, layer_overlaps, mask_overlap
    from winnow.analysis.sigmas import SigmaHistogram, sigma_histograms, sigma_middles
    from winnow.analysis.signs import SignAgreement, layer_sign_agreements, sign_agreement

_PLACES = {
    "LayerDensity": "densities",
    "Line": "line",
    "LinePoint": "line",
    "MaskOverlap": "overlap",
    "Movement": "movement",
    "SigmaHistogram": "sigmas",
    "SignAgreement": "signs",
    "WeightDistance": "distance",
    "collapsed_layers": "densities",
    "layer_densities": "densities",
    "layer_distances": "distance",
    "layer_movements": "movement",
    "layer_overlaps": "overlap",
    "layer_sign_agreements": "signs",
    "line_between": "line",
    "mask_overlap": "overlap",
    "sigma_histograms": "sigmas",
    "sigma_middles": "sigmas",
    "sign_agreement": "signs",
    "weight_distance": "distance",
    "weight_movement": "movement",
}
"""Every public name, and the file that defines it."""

__all__ = [
    "LayerDensity",
    "Line",
    "LinePoint",
    "MaskOverlap",
    "Movement",
    "SigmaHistogram",
    "SignAgreement",
    "WeightDistance",
    "collapsed_layers",
    "layer_densities",
    "layer_distances",
    "layer_movements",
    "layer_overlaps",
    "layer_sign_agreements",
    "line_between",
    "mask_overlap",
    "sigma_histograms",
    "sigma_middles",
    "sign_agreement",
    "weight_distance",
    "weight_movement",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'winnow.analysis' has no attribute {name!r}")
    return getattr(importlib.import_module(f"winnow.analysis.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
