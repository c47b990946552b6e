"""Analyses of networks and masks: pure functions that know no store, no plan and no run.

The public names load on first use (PEP 562), so that ``import winnow.analysis`` imports no torch.
No module here has the name of a function: importing it would replace the name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from winnow.analysis.bimodality import (
        TwoModes,
        bimodality_coefficient,
        layer_two_modes,
        two_modes,
        valley,
    )
    from winnow.analysis.connections import Connections, LayerConnections, unit_connections
    from winnow.analysis.densities import LayerDensity, collapsed_layers, layer_densities
    from winnow.analysis.distance import WeightDistance, layer_distances, weight_distance
    from winnow.analysis.gradients import GradientNorm, LossGradient, gradient_norm, loss_gradient
    from winnow.analysis.histograms import (
        SymmetricBins,
        ZeroShares,
        linear_bins,
        log_bins,
        zero_shares,
    )
    from winnow.analysis.line import Line, LinePoint, line_between
    from winnow.analysis.movement import Movement, layer_movements, weight_movement
    from winnow.analysis.overlap import MaskOverlap, layer_overlaps, mask_overlap
    from winnow.analysis.paths import EffectiveWeights, effective_weights
    from winnow.analysis.per_weight import WeightsAndGradients, weights_and_gradients
    from winnow.analysis.rank_correlation import RankCorrelation, spearman
    from winnow.analysis.rewinding import EarliestStep, earliest_step
    from winnow.analysis.sigmas import SigmaHistogram, sigma_histograms, sigma_middles
    from winnow.analysis.signs import SignAgreement, layer_sign_agreements, sign_agreement
    from winnow.analysis.tangent_kernel import KernelIdentity, kernel_identity

_PLACES = {
    "Connections": "connections",
    "EarliestStep": "rewinding",
    "EffectiveWeights": "paths",
    "GradientNorm": "gradients",
    "KernelIdentity": "tangent_kernel",
    "LayerConnections": "connections",
    "LayerDensity": "densities",
    "Line": "line",
    "LinePoint": "line",
    "LossGradient": "gradients",
    "MaskOverlap": "overlap",
    "Movement": "movement",
    "RankCorrelation": "rank_correlation",
    "SigmaHistogram": "sigmas",
    "SignAgreement": "signs",
    "SymmetricBins": "histograms",
    "TwoModes": "bimodality",
    "WeightDistance": "distance",
    "WeightsAndGradients": "per_weight",
    "ZeroShares": "histograms",
    "bimodality_coefficient": "bimodality",
    "collapsed_layers": "densities",
    "earliest_step": "rewinding",
    "effective_weights": "paths",
    "gradient_norm": "gradients",
    "kernel_identity": "tangent_kernel",
    "layer_densities": "densities",
    "layer_distances": "distance",
    "layer_movements": "movement",
    "layer_overlaps": "overlap",
    "layer_sign_agreements": "signs",
    "layer_two_modes": "bimodality",
    "line_between": "line",
    "linear_bins": "histograms",
    "log_bins": "histograms",
    "loss_gradient": "gradients",
    "mask_overlap": "overlap",
    "sigma_histograms": "sigmas",
    "sigma_middles": "sigmas",
    "sign_agreement": "signs",
    "spearman": "rank_correlation",
    "two_modes": "bimodality",
    "unit_connections": "connections",
    "valley": "bimodality",
    "weight_distance": "distance",
    "weight_movement": "movement",
    "weights_and_gradients": "per_weight",
    "zero_shares": "histograms",
}
"""Every public name, and the file that defines it."""

__all__ = [
    "Connections",
    "EarliestStep",
    "EffectiveWeights",
    "GradientNorm",
    "KernelIdentity",
    "LayerConnections",
    "LayerDensity",
    "Line",
    "LinePoint",
    "LossGradient",
    "MaskOverlap",
    "Movement",
    "RankCorrelation",
    "SigmaHistogram",
    "SignAgreement",
    "SymmetricBins",
    "TwoModes",
    "WeightDistance",
    "WeightsAndGradients",
    "ZeroShares",
    "bimodality_coefficient",
    "collapsed_layers",
    "earliest_step",
    "effective_weights",
    "gradient_norm",
    "kernel_identity",
    "layer_densities",
    "layer_distances",
    "layer_movements",
    "layer_overlaps",
    "layer_sign_agreements",
    "layer_two_modes",
    "line_between",
    "linear_bins",
    "log_bins",
    "loss_gradient",
    "mask_overlap",
    "sigma_histograms",
    "sigma_middles",
    "sign_agreement",
    "spearman",
    "two_modes",
    "unit_connections",
    "valley",
    "weight_distance",
    "weight_movement",
    "weights_and_gradients",
    "zero_shares",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'winnow.analysis' has no attribute {name!r}")
    return getattr(importlib.import_module(f"winnow.analysis.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
