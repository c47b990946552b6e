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
from winnow.kernels.cache import prepare

_GRAPH = (
    *(batch_norm, block_gradient, block_product, convert, elementwise),
    *(gather, loss, pooling, squares, update),
)


def prepare_chain_kernels() -> None:
    """Load or compile what trains chains of linear layers."""
    prepare("chain", chain_steps.ENTRIES)


def prepare_graph_kernels() -> None:
    """Load or compile what trains every other network."""
    prepare("graph", [entry for module in _GRAPH for entry in module.ENTRIES])
