"""A network of linear layers as kernels see it: flat arrays of nonzeros, and buffers.

A nonzero is a weight that the mask keeps, whatever its value. A bias is a weight too: every
layer's input has one more feature, which is always 1, so that kernels know no biases.

Activations of a layer lie as (tiles, features + 1, TILE): a tile holds TILE examples of a batch,
one vector for each feature. The nonzeros of a layer lie by slab, row (output), column (input); a
slab is a range of columns whose activations fit the first-level cache together. ``start`` gives
where each row of each slab begins. For the way back, ``column_start``, ``row`` and ``place`` list
the same nonzeros by column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.engine.sparse_cpu.places import Bits, Places, ordered
from winnow.kernels.arrays import Floats, Integers, aligned, padded
from winnow.kernels.simd import TILE, W

Numbers = NDArray[np.int64]

# Columns of `Network.table`: a row describes a layer. The last three say where its part of the
# concatenated arrays begins; nonzeros start at multiples of W.
INPUTS, OUTPUTS, SLABS, RELU, START, NONZERO, NONZEROS, COLUMN_START, BACK, INPUT, DELTA = range(11)


class Network(NamedTuple):
    """All layers, concatenated. n: nonzeros, every layer's padded to a multiple of W."""

    table: Numbers  # (layers, 11)
    start: Integers  # where rows begin, within the layer
    column: Integers  # (n,) column · TILE
    column_start: Integers  # where columns begin, within the layer; none for the first layer
    row: Integers  # row · TILE, by column
    place: Integers  # which nonzero of the layer, by column
    weight: Floats  # (n,)
    first: Floats  # (n,) momentum buffer, or Adam's first moment; empty for plain SGD
    second: Floats  # (n,) Adam's second moment; empty for SGD
    gradient: Floats  # (n,)
    input: Floats  # every layer's input, (tiles, inputs + 1, TILE) each, then the logits
    delta: Floats  # the gradient by every layer's output, (tiles, outputs + 1, TILE) each
    scratch: Floats  # (W · W,)


@dataclass(frozen=True)
class Linear:
    """A layer: which weights (O, I + 1) exist, the bias last; whether a ReLU follows."""

    keep: NDArray[np.bool_]
    relu: bool


@dataclass(frozen=True)
class Lists:
    """The nonzeros of one layer as kernels take them; see `Network` for the arrays.

    ``places``: where they stand in (O, I + 1). ``biases``: which of these, ascending, are biases.
    """

    inputs: int
    outputs: int
    slabs: int
    relu: bool
    places: Places
    biases: Bits
    start: Integers
    column: Integers
    column_start: Integers
    row: Integers
    place: Integers

    @property
    def about(self) -> list[int]:
        """The columns of the table up to RELU."""
        return [self.inputs, self.outputs, self.slabs, int(self.relu)]


_SLAB_BYTES = 25_088  # of a 32 KiB first-level cache; the rest holds weights, columns and outputs


def slab_columns(inputs: int, outputs: int, nonzeros: int) -> int:
    """Columns of a slab: as many as fit the first-level cache, more where rows are short.

    Every slab costs a pass over the outputs, so a row should have a few nonzeros in each.
    """
    fitting = _SLAB_BYTES // (4 * TILE)
    wanted = 12 * inputs * outputs // max(nonzeros, 1)  # columns with 12 nonzeros in a row
    return inputs if wanted > 4 * fitting else max(fitting, min(inputs, wanted))


def layer_lists(layer: Linear, *, back: bool) -> Lists:
    """The lists of a layer; ``back``: whether its input has a gradient."""
    outputs, inputs = layer.keep.shape[0], layer.keep.shape[1] - 1
    index = np.flatnonzero(layer.keep)
    row, column = np.divmod(index, inputs + 1)
    width = slab_columns(inputs, outputs, len(row))
    slabs = max(1, -(-inputs // width))
    line = np.minimum(column // width, slabs - 1) * outputs + row  # a row of a slab
    order = np.argsort(line * (inputs + 1) + column)
    biases = column == inputs
    row, column = row[order], column[order]
    padding = np.zeros(padded(len(row)) - len(row), np.int64)
    return Lists(
        inputs, outputs, slabs, layer.relu, ordered(index, layer.keep.size, order), biases,
        _begins(line, slabs * outputs), _short(np.concatenate([column * TILE, padding])),
        *(_back(row, column, inputs, outputs) if back else [_NOTHING] * 3),
    )  # fmt: skip


def _back(row: Numbers, column: Numbers, inputs: int, outputs: int) -> list[Integers]:
    """column_start, row and place of a layer."""
    place = np.flatnonzero(column < inputs)  # nothing flows back to the constant 1
    place = place[np.argsort(column[place] * outputs + row[place])]
    return [_begins(column[place], inputs), _short(row[place] * TILE), _short(place)]


def _begins(line: Numbers, lines: int) -> Integers:
    """Where each of so many lines begins, and the last ends, whose entries are on these lines."""
    return _short(np.concatenate([[0], np.cumsum(np.bincount(line, minlength=lines))]))


def _short(values: Numbers) -> Integers:
    assert values.max(initial=0) < 2**31, "too large for int32"
    return values.astype(np.int32)


_NOTHING = np.empty(0, np.int32)


def make_network(layers: Sequence[Linear], slots: int, batch: int) -> tuple[Network, list[Lists]]:
    """The arrays of a chain of layers, weights at 0, for batches of up to ``batch`` examples.

    ``slots``: optimizer slots for each weight, 0 to 2. Also gives every layer's lists.
    """
    tiles = -(-batch // TILE)
    lists = [layer_lists(layer, back=depth > 0) for depth, layer in enumerate(layers)]
    inputs = [0, *np.cumsum([tiles * (one.inputs + 1) * TILE for one in lists])]
    deltas = [0, *np.cumsum([tiles * (one.outputs + 1) * TILE for one in lists])]
    logits = tiles * (lists[-1].outputs + 1) * TILE
    table = _table(lists, np.array([inputs[:-1], deltas[:-1]], np.int64).T)
    arrays, lists = _joined(lists)
    network = Network(
        table=table,
        **arrays,
        **_trained(len(arrays["column"]), slots),
        input=aligned(inputs[-1] + logits, 1.0),  # kernels never write the constant 1
        delta=aligned(deltas[-1], 0.0),
        scratch=aligned(W * W, 0.0),
    )
    return network, lists


def relisted(network: Network, lists: Sequence[Lists], slots: int) -> tuple[Network, list[Lists]]:
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


def _table(lists: Sequence[Lists], buffers: Numbers) -> Numbers:
    """``Network.table``; ``buffers``: its columns INPUT and DELTA."""
    starts, nonzeros, columns, back = (
        np.cumsum([0] + [len(getattr(one, name)) for one in lists])[:-1]
        for name in ("start", "column", "column_start", "row")
    )
    return np.array([
        [*one.about, starts[i], nonzeros[i], one.places.count, columns[i], back[i], *buffers[i]]
        for i, one in enumerate(lists)
    ], np.int64)  # fmt: skip


def _joined(lists: Sequence[Lists]) -> tuple[dict[str, Any], list[Lists]]:
    """The lists of all layers as the arrays of a network, and again as parts of these."""
    arrays: dict[str, Any] = {}
    parts: list[dict[str, Any]] = [{} for _ in lists]
    for name in ("start", "column", "column_start", "row", "place"):
        mine = [getattr(one, name) for one in lists]
        arrays[name], end = np.concatenate(mine), 0
        for part, array in zip(parts, mine, strict=True):
            begin, end = end, end + len(array)
            part[name] = arrays[name][begin:end]
    return arrays, [replace(one, **part) for one, part in zip(lists, parts, strict=True)]


def _trained(n: int, slots: int) -> dict[str, Any]:
    return {
        "weight": aligned(n, 0.0),
        "first": aligned(n if slots > 0 else 0, 0.0),
        "second": aligned(n if slots > 1 else 0, 0.0),
        "gradient": aligned(n, 0.0),
    }
