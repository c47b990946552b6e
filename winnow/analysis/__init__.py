"""Analyses of networks and masks: pure functions that know no store, no plan and no run.

The public names load on first use (PEP 562), so that ``import winnow.analysis`` imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from winnow.analysis.connections import (
        Connections,
        LayerConnections,
        unit_connections,
    )
    from winnow.analysis.gradients import (
        GradientNorm,
        LossGradient,
        gradient_norm,
        loss_gradient,
    )
    from winnow.analysis.histograms import (
        SymmetricBins,
        ZeroShares,
        linear_bins,
        log_bins,
        zero_shares,
    )
    from winnow.analysis.paths import (
        EffectiveWeights,
        effective_weights,
    )
    from winnow.analysis.per_weight import (
        WeightsAndGradients,
        weights_and_gradients,
    )
    from winnow.analysis.rank_correlation import (
        RankCorrelation,
        spearman,
    )
    from winnow.analysis.rewinding import (
        EarliestStep,
        earliest_step,
    )
    from winnow.analysis.tangent_kernel import (
        KernelIdentity,
        kernel_identity,
    )

_PLACES = {
    "Connections": "connections",
    "EarliestStep": "rewinding",
    "EffectiveWeights": "paths",
    "GradientNorm": "gradients",
    "KernelIdentity": "tangent_kernel",
    "LayerConnections": "connections",
    "LossGradient": "gradients",
    "RankCorrelation": "rank_correlation",
    "SymmetricBins": "histograms",
    "WeightsAndGradients": "per_weight",
    "ZeroShares": "histograms",
    "earliest_step": "rewinding",
    "effective_weights": "paths",
    "gradient_norm": "gradients",
    "kernel_identity": "tangent_kernel",
    "linear_bins": "histograms",
    "log_bins": "histograms",
    "loss_gradient": "gradients",
    "spearman": "rank_correlation",
    "unit_connections": "connections",
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
    "LossGradient",
    "RankCorrelation",
    "SymmetricBins",
    "WeightsAndGradients",
    "ZeroShares",
    "earliest_step",
    "effective_weights",
    "gradient_norm",
    "kernel_identity",
    "linear_bins",
    "log_bins",
    "loss_gradient",
    "spearman",
    "unit_connections",
    "weights_and_gradients",
    "zero_shares",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'winnow.analysis' has no attribute {name!r}")
    return getattr(importlib.import_module(f"winnow.analysis.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
