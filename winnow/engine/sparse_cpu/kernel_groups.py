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
from winnow.kernels.cache import is_compiled, prepare

_GRAPH = (
    *(batch_norm, convert, correlate, correlate_gradient, elementwise, gather),
    *(loss, pool, product, squares, update),
)


_CHAINS = ("linear", steps.ENTRIES)
_GRAPHS = ("graph", [entry for module in _GRAPH for entry in module.ENTRIES])


def chains() -> None:
    """Load or compile what trains chains of linear layers."""
    prepare(*_CHAINS)


def graphs() -> None:
    """Load or compile what trains every other network."""
    prepare(*_GRAPHS)


def chains_are_compiled() -> bool:
    """Whether this machine has the kernels for chains of linear layers."""
    return is_compiled(*_CHAINS)


def graphs_are_compiled() -> bool:
    """Whether this machine has the kernels for every other network."""
    return is_compiled(*_GRAPHS)
