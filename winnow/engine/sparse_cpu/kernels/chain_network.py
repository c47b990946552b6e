"""A chain of linear layers as kernels see it: flat arrays of nonzeros, and buffers.

A nonzero is a weight that the mask keeps, whatever its value. A bias is a weight too: every
layer's input has one more feature, which is always 1, so that kernels know no biases.

Activations of a layer lie as (tiles, features + 1, TILE): a tile holds TILE examples of a batch,
one vector for each feature. The nonzeros of a layer lie by slab, row (output), column (input); a
slab is a range of columns whose activations fit the first-level cache together. ``start`` says
where each row of each slab begins. For the way back, ``column_start``, ``row`` and ``place`` list
the same nonzeros by column.
"""

from __future__ import annotations

from typing import NamedTuple

from winnow.kernels.arrays import Floats, Int32s, Int64s

# Columns of `ChainNetwork.table`: a row describes a layer. FULL: 1 where `chain_full` takes it.
# From START on, where its part of the concatenated arrays begins; nonzeros start at multiples of W.
INPUTS, OUTPUTS, SLABS, RELU, FULL = range(5)
START, NONZERO, NONZEROS, COLUMN_START, BACK, INPUT, DELTA = range(5, 12)


class ChainNetwork(NamedTuple):
    """All layers, concatenated. n: nonzeros, every layer's padded to a multiple of W."""

    table: Int64s  # (layers, 12)
    start: Int32s  # where rows begin, within the layer
    column: Int32s  # (n,) column · TILE
    column_start: Int32s  # where columns begin, within the layer; none for the first layer
    row: Int32s  # row · TILE, by column
    place: Int32s  # which nonzero of the layer, by column
    weight: Floats  # (n,)
    first: Floats  # (n,) momentum buffer, or Adam's first moment; empty for plain SGD
    second: Floats  # (n,) Adam's second moment; empty for SGD
    gradient: Floats  # (n,)
    input: Floats  # every layer's input, (tiles, inputs + 1, TILE) each, then the logits
    delta: Floats  # the gradient by every layer's output, (tiles, outputs + 1, TILE) each
    scratch: Floats  # (CORNER,)
