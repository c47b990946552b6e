"""The arrays of a whole chain, made from the lists of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from winnow.engine.sparse_cpu.chain.lists import ChainLists, KeptLayer, chain_lists
from winnow.engine.sparse_cpu.kernels.chain_network import INPUT, NONZEROS, ChainNetwork
from winnow.kernels.arrays import Int64s, aligned
from winnow.kernels.corner import CORNER
from winnow.kernels.simd import TILE


def chain_network(
    layers: Sequence[KeptLayer], slots: int, batch: int
) -> tuple[ChainNetwork, list[ChainLists]]:
    """The arrays of a chain of layers, weights at 0, for batches of up to ``batch`` examples.

    ``slots``: optimizer slots for each weight, 0 to 2. Also returns every layer's lists.
    """
    tiles = -(-batch // TILE)
    lists = [chain_lists(layer, back=depth > 0) for depth, layer in enumerate(layers)]
    inputs = [0, *np.cumsum([tiles * (layer.inputs + 1) * TILE for layer in lists])]
    deltas = [0, *np.cumsum([tiles * (layer.outputs + 1) * TILE for layer in lists])]
    logits = tiles * (lists[-1].outputs + 1) * TILE
    table = _table(lists, np.array([inputs[:-1], deltas[:-1]], np.int64).T)
    arrays, lists = _joined(lists)
    network = ChainNetwork(
        table=table,
        **arrays,
        **_trained(len(arrays["column"]), slots),
        input=aligned(inputs[-1] + logits, 1.0),  # kernels never write the constant 1
        delta=aligned(deltas[-1], 0.0),
        scratch=aligned(CORNER, 0.0),
    )
    return network, lists


def relisted(
    network: ChainNetwork, lists: Sequence[ChainLists], slots: int
) -> tuple[ChainNetwork, list[ChainLists]]:
    """The network with other lists of its layers and the buffers that it has, and these lists.

    Where every layer has as many nonzeros as before, the numbers in training stay in their arrays;
    else these are new, all 0.
    """
    table = _table(lists, network.table[:, INPUT:])
    arrays, parts = _joined(lists)
    changed = network._replace(table=table, **arrays)
    if not np.array_equal(table[:, NONZEROS], network.table[:, NONZEROS]):
        changed = changed._replace(**_trained(len(changed.column), slots))
    return changed, parts


def _table(lists: Sequence[ChainLists], buffers: Int64s) -> Int64s:
    """``ChainNetwork.table``; ``buffers``: its columns INPUT and DELTA."""
    starts, nonzeros, columns, back = (
        np.cumsum([0] + [len(layer.arrays[name]) for layer in lists])[:-1]
        for name in ("start", "column", "column_start", "row")
    )
    rows = [
        [*layer.about, starts[i], nonzeros[i], layer.places.count, columns[i], back[i], *buffers[i]]
        for i, layer in enumerate(lists)
    ]
    return np.array(rows, np.int64)


def _joined(lists: Sequence[ChainLists]) -> tuple[dict[str, Any], list[ChainLists]]:
    """The lists of all layers as the arrays of a network, and again as parts of these."""
    arrays: dict[str, Any] = {}
    parts: list[dict[str, Any]] = [{} for _ in lists]
    for name in lists[0].arrays:
        of_layers = [layer.arrays[name] for layer in lists]
        arrays[name], end = np.concatenate(of_layers), 0
        for part, array in zip(parts, of_layers, strict=True):
            begin, end = end, end + len(array)
            part[name] = arrays[name][begin:end]
    return arrays, [replace(layer, **part) for layer, part in zip(lists, parts, strict=True)]


def _trained(n: int, slots: int) -> dict[str, Any]:
    return {
        "weight": aligned(n, 0.0),
        "first": aligned(n if slots > 0 else 0, 0.0),
        "second": aligned(n if slots > 1 else 0, 0.0),
        "gradient": aligned(n, 0.0),
    }
