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
    halves,
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
_MAPS = (batch_norm, block_gradient, block_product, convert, elementwise, gather, pooling)
_BF16_GRAPHS = (
    "graph-bf16",
    [
        *(entry for module in (*_MAPS, halves) for entry in module.ENTRIES_BF16),
        *(entry for module in (convert, loss, squares, update) for entry in module.ENTRIES),
    ],
)


def prepare_chain_kernels() -> None:
    """Load or compile what trains chains of linear layers."""
    prepare(*_CHAINS)


def prepare_graph_kernels(bf16: bool = False) -> None:
    """Load or compile what trains every other network; ``bf16``: with maps stored so."""
    prepare(*(_BF16_GRAPHS if bf16 else _GRAPHS))


def chains_are_compiled() -> bool:
    """Whether this machine has the kernels for chains of linear layers."""
    return is_compiled(*_CHAINS)


def graphs_are_compiled(bf16: bool = False) -> bool:
    """Whether this machine has the kernels for every other network; ``bf16``: with such maps."""
    return is_compiled(*(_BF16_GRAPHS if bf16 else _GRAPHS))
