"""The nonzeros of a layer, listed as the kernels of chains take them.

What the lists are: `winnow.engine.sparse_cpu.kernels.chain_network`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from winnow.engine.sparse_cpu.places import Bits, Places, ordered, stable_order
from winnow.kernels.arrays import Int32s, Int64s, padded
from winnow.kernels.simd import TILE, W


@dataclass(frozen=True)
class KeptLayer:
    """A layer: which weights (O, I + 1) exist, the bias last; whether a ReLU follows."""

    keep: Bits
    relu: bool


@dataclass(frozen=True)
class ChainLists:
    """The nonzeros of one layer as kernels take them; see `ChainNetwork` for the arrays.

    ``full``: whether kernels for full layers take it. ``places``: where they are in (O, I + 1).
    ``biases``: which of these, ascending, are biases.
    """

    inputs: int
    outputs: int
    slabs: int
    relu: bool
    full: bool
    places: Places
    biases: Bits
    start: Int32s
    column: Int32s
    column_start: Int32s
    row: Int32s
    place: Int32s

    @property
    def about(self) -> list[int]:
        """The columns of the network's table up to FULL."""
        return [self.inputs, self.outputs, self.slabs, int(self.relu), int(self.full)]

    @property
    def arrays(self) -> dict[str, Int32s]:
        """The arrays that a network concatenates, under its names for them."""
        return {
            "start": self.start,
            "column": self.column,
            "column_start": self.column_start,
            "row": self.row,
            "place": self.place,
        }


_SLAB_BYTES = 25_088  # of a 32 KiB first-level cache; the rest holds weights, columns and outputs


def slab_columns(inputs: int, outputs: int, nonzeros: int) -> int:
    """Columns of a slab: as many as fit the first-level cache, more where rows are short.

    Every slab costs a pass over the outputs, so a row should have a few nonzeros in each.
    """
    fitting = _SLAB_BYTES // (4 * TILE)
    wanted = 12 * inputs * outputs // max(nonzeros, 1)  # columns with 12 nonzeros in a row
    return inputs if wanted > 4 * fitting else max(fitting, min(inputs, wanted))


def chain_lists(layer: KeptLayer, *, back: bool, index: Int64s | None = None) -> ChainLists:
    """The lists of a layer; ``back``: whether its input has a gradient.

    ``index``: the flat indices of what is kept, where they are known.
    """
    outputs, inputs = layer.keep.shape[0], layer.keep.shape[1] - 1
    index = np.flatnonzero(layer.keep) if index is None else index
    begins = np.searchsorted(index, np.arange(outputs + 1) * (inputs + 1))
    row = np.repeat(np.arange(outputs), np.diff(begins))
    column = index - row * (inputs + 1)
    width = slab_columns(inputs, outputs, len(row))
    slabs = max(1, -(-inputs // width))
    slab = np.minimum(column // width, slabs - 1) if slabs > 1 else np.zeros_like(column)
    line = slab * outputs + row  # a row of a slab
    order = stable_order(slab, slabs)
    biases = column == inputs
    row, column = row[order], column[order]
    padding = np.zeros(padded(len(row)) - len(row), np.int64)
    return ChainLists(
        inputs, outputs, slabs, layer.relu, _is_full(layer.keep),
        ordered(index, layer.keep.size, order), biases,
        _begins(line, slabs * outputs), _short(np.concatenate([column * TILE, padding])),
        *(_back(row, column, inputs) if back else [_NOTHING] * 3),
    )  # fmt: skip


def _is_full(keep: Bits) -> bool:
    """Whether every weight is there, and all biases or none; kernels for such layers hold so many
    sums as only AVX-512 has registers for.
    """
    every_bias_or_none = bool((keep[:, -1] == keep[0, -1]).all())
    return W == 16 and len(keep) > 1 and every_bias_or_none and bool(keep[:, :-1].all())


def _back(row: Int64s, column: Int64s, inputs: int) -> list[Int32s]:
    """column_start, row and place of a layer."""
    place = np.flatnonzero(column < inputs)  # nothing flows back to the constant 1
    place = place[stable_order(column[place], inputs)]  # rows ascend within a column already
    return [_begins(column[place], inputs), _short(row[place] * TILE), _short(place)]


def _begins(line: Int64s, lines: int) -> Int32s:
    """Where each of so many lines begins, and the last ends, whose entries are on these lines."""
    return _short(np.concatenate([[0], np.cumsum(np.bincount(line, minlength=lines))]))


def _short(values: Int64s) -> Int32s:
    assert values.max(initial=0) < 2**31, "too large for int32"
    return values.astype(np.int32)


_NOTHING = np.empty(0, np.int32)
