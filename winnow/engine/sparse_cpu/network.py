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
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.kernels.arrays import Floats, Integers, aligned, padded
from winnow.kernels.simd import TILE, W

# Columns of `Network.table`: a row describes a layer. The last three say where its part of the
# concatenated arrays begins; nonzeros start at multiples of W.
INPUTS, OUTPUTS, SLABS, RELU, START, NONZERO, NONZEROS, COLUMN_START, BACK, INPUT, DELTA = range(11)


class Network(NamedTuple):
    """All layers, concatenated. n: nonzeros, every layer's padded to a multiple of W."""

    table: NDArray[np.int64]  # (layers, 11)
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
class _Nonzeros:
    """The nonzeros of one layer in kernel order."""

    slabs: int
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    start: NDArray[np.int64]


_SLAB_BYTES = 25_088  # of a 32 KiB first-level cache; the rest holds weights, columns and outputs


def slab_columns(inputs: int, outputs: int, nonzeros: int) -> int:
    """Columns of a slab: as many as fit the first-level cache, more where rows are short.

    Every slab costs a pass over the outputs, so a row should have a few nonzeros in each.
    """
    fitting = _SLAB_BYTES // (4 * TILE)
    wanted = 12 * inputs * outputs // max(nonzeros, 1)  # columns with 12 nonzeros in a row
    return inputs if wanted > 4 * fitting else max(fitting, min(inputs, wanted))


def _nonzeros(keep: NDArray[np.bool_]) -> _Nonzeros:
    outputs, inputs = keep.shape[0], keep.shape[1] - 1
    row, column = np.nonzero(keep)
    width = slab_columns(inputs, outputs, len(row))
    slabs = max(1, -(-inputs // width))
    slab = np.minimum(column // width, slabs - 1)
    order = np.lexsort((column, row, slab))
    counts = np.bincount(slab * outputs + row, minlength=slabs * outputs)
    start = np.concatenate([[0], np.cumsum(counts)])
    return _Nonzeros(slabs, row[order], column[order], start)


def make_network(
    layers: Sequence[Linear], slots: int, batch: int
) -> tuple[Network, list[NDArray[np.int64]]]:
    """The arrays of a chain of layers, weights at 0, for batches of up to ``batch`` examples.

    ``slots``: optimizer slots for each weight, 0 to 2. Also gives the flat index into (O, I + 1)
    of every layer's nonzeros, in the order of their weights.
    """
    tiles = -(-batch // TILE)
    table, parts, flat = [], _Parts(), []
    for depth, layer in enumerate(layers):
        outputs, inputs = layer.keep.shape[0], layer.keep.shape[1] - 1
        nonzeros = _nonzeros(layer.keep)
        about = [inputs, outputs, nonzeros.slabs, int(layer.relu)]
        table.append(about + parts.add(nonzeros, inputs, outputs, tiles, back=depth > 0))
        flat.append(nonzeros.row * (inputs + 1) + nonzeros.column)
    parts.input_size += tiles * (layers[-1].keep.shape[0] + 1) * TILE
    return parts.network(np.array(table, np.int64), slots), flat


class _Parts:
    """The concatenated arrays, layer after layer."""

    def __init__(self) -> None:
        self.arrays: dict[str, list[NDArray[np.int64]]] = {
            name: [np.empty(0, np.int64)]
            for name in ("start", "column", "column_start", "row", "place")
        }
        self.input_size = self.delta_size = 0

    def _append(self, name: str, values: NDArray[np.int64]) -> int:
        before = sum(len(part) for part in self.arrays[name])
        self.arrays[name].append(values)
        return before

    def add(
        self, nonzeros: _Nonzeros, inputs: int, outputs: int, tiles: int, *, back: bool
    ) -> list[int]:
        """Append a layer; gives the columns of the table from START on."""
        count = len(nonzeros.row)
        column = np.zeros(padded(count), np.int64)
        column[:count] = nonzeros.column * TILE
        begins = [self._append("start", nonzeros.start), self._append("column", column), count]
        begins += self._add_back(nonzeros, inputs) if back else [0, 0]
        begins += [self.input_size, self.delta_size]
        self.input_size += tiles * (inputs + 1) * TILE
        self.delta_size += tiles * (outputs + 1) * TILE
        return begins

    def _add_back(self, nonzeros: _Nonzeros, inputs: int) -> list[int]:
        place = np.lexsort((nonzeros.row, nonzeros.column))
        place = place[nonzeros.column[place] < inputs]  # nothing flows back to the constant 1
        counts = np.bincount(nonzeros.column[place], minlength=inputs)
        begin = self._append("column_start", np.concatenate([[0], np.cumsum(counts)]))
        back = self._append("row", nonzeros.row[place] * TILE)
        self._append("place", place)
        return [begin, back]

    def network(self, table: NDArray[np.int64], slots: int) -> Network:
        whole = {name: np.concatenate(parts) for name, parts in self.arrays.items()}
        assert all(a.max(initial=0) < 2**31 for a in whole.values()), "too large for int32"
        n = len(whole["column"])
        return Network(
            table=table,
            **{name: array.astype(np.int32) for name, array in whole.items()},
            weight=aligned(n, 0.0),
            first=aligned(n if slots > 0 else 0, 0.0),
            second=aligned(n if slots > 1 else 0, 0.0),
            gradient=aligned(n, 0.0),
            input=aligned(self.input_size, 1.0),  # kernels never write the constant 1
            delta=aligned(self.delta_size, 0.0),
            scratch=aligned(W * W, 0.0),
        )
