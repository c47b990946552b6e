"""The kernels that Python calls, in the two groups that are compiled and loaded together."""

from __future__ import annotations

from winnow.engine.sparse_cpu import (
    batch_norm,
    convert,
    correlate,
    correlate_gradient,
    elementwise,
    gather,
    loss,
    pool,
    product,
    squares,
    steps,
    update,
)
from winnow.kernels.cache import prepare

_GRAPH = (
    *(batch_norm, convert, correlate, correlate_gradient, elementwise, gather),
    *(loss, pool, product, squares, update),
)


def chains() -> None:
    """Load or compile what trains chains of linear layers."""
    prepare("linear", steps.ENTRIES)


def graphs() -> None:
    """Load or compile what trains every other network."""
    prepare("graph", [entry for module in _GRAPH for entry in module.ENTRIES])
