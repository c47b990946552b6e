"""The kernels that Python calls, in the two groups that are compiled and loaded together."""

from __future__ import annotations

from winnow.engine.sparse_cpu.kernels import (
    batch_norm,
    block_gradient,
    block_product,
    chain_steps,
    convert,
    elementwise,
    gather,
    loss,
    pooling,
    squares,
    update,
)
from winnow.kernels.cache import is_compiled, prepare

_GRAPH = (
    *(batch_norm, block_gradient, block_product, convert, elementwise),
    *(gather, loss, pooling, squares, update),
)


_CHAINS = ("chain", chain_steps.ENTRIES)
_GRAPHS = ("graph", [entry for module in _GRAPH for entry in module.ENTRIES])


def prepare_chain_kernels() -> None:
    """Load or compile what trains chains of linear layers."""
    prepare(*_CHAINS)


def prepare_graph_kernels() -> None:
    """Load or compile what trains every other network."""
    prepare(*_GRAPHS)


def chains_are_compiled() -> bool:
    """Whether this machine has the kernels for chains of linear layers."""
    return is_compiled(*_CHAINS)


def graphs_are_compiled() -> bool:
    """Whether this machine has the kernels for every other network."""
    return is_compiled(*_GRAPHS)
