"""Lists of the nonzeros of a layer, as `winnow.engine.sparse_cpu.graph.correlate` takes them.

A convolution's forward product has a row for each output channel; its nonzeros read the input. Its
way back has a row for each input channel; its nonzeros, the same ones transposed, read the gradient
by the output. With stride s, an input pixel meets only the taps of its own residue modulo s, so
there is one backward product for each residue of rows and columns, whose output pixels are s apart.
A residue that no tap meets has a product without nonzeros, which stores 0 (or what it accumulates
on): together the products write every input pixel once, and no border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from winnow.engine.sparse_cpu.graph.map import Map, group_count
from winnow.engine.sparse_cpu.graph.regions import regions
from winnow.engine.sparse_cpu.graph.strips import Strip
from winnow.engine.sparse_cpu.graph.window import Window
from winnow.engine.sparse_cpu.kernels.grid import GROUPS
from winnow.engine.sparse_cpu.places import Bits, Places, ordered
from winnow.errors import UserError
from winnow.kernels.arrays import Int32s, Int64s
from winnow.kernels.simd import W


@dataclass(frozen=True)
class ProductList:
    """One product: see `winnow.engine.sparse_cpu.graph.correlate` for what the arrays mean."""

    grid: Int64s  # (9,); its first entry, the groups, may be lowered for a smaller batch
    start: Int32s  # (slabs · rows + 1,)
    offset: Int32s  # (nonzeros,)
    at: Int32s  # (rows,)
    place: Int32s  # (nonzeros,) which nonzero of the forward product

    def over(self, batch: int) -> Int64s:
        """The grid for another batch size."""
        grid = self.grid.copy()
        grid[GROUPS] = group_count(batch)
        return grid

    @property
    def scratch(self) -> int:
        """The floats of scratch that `weight_gradient` needs."""
        slabs = self.start[:: max(len(self.at), 1)]
        return int(np.diff(slabs).max(initial=0)) * W


@dataclass(frozen=True)
class LayerLists:
    """A layer's nonzeros: where they are in the dense weight, and its products."""

    places: Places  # in the dense weight, in forward order
    forward: ProductList
    backward: tuple[ProductList, ...]
    gradient: ProductList  # the forward product, as `weight_gradient` takes it

    @property
    def index(self) -> Int64s:
        """(nonzeros,) where they are in the flat dense weight, in forward order."""
        return self.places.flat


def convolution_lists(
    keep: Bits,
    stride: tuple[int, int],
    padding: tuple[int, int],
    source: Map,
    target: Map,
    batch: int,
    x_strip: Strip | None = None,
    delta_strip: Strip | None = None,
) -> LayerLists:
    """The lists of a convolution from ``source`` to ``target``. keep: (O, I, kh, kw).

    ``target`` is the layout of the output and of its gradient, ``source`` that of the input and of
    its gradient; ``x_strip`` and ``delta_strip``: the input, or the gradient by the output, is read
    from such strips (`strips_of`). UserError where the maps do not fit, or their borders are less
    than `Window.borders` asks.
    """
    window = Window((keep.shape[2], keep.shape[3]), stride, padding)
    _check(keep.shape, window, source, target)
    index = np.flatnonzero(keep)
    output, channel, y, x = np.unravel_index(index, keep.shape)
    read, back = x_strip or source, delta_strip or target
    offset = channel * read.plane + read.origin
    offset += (y - padding[0]) * read.row + (x - padding[1]) * read.pixel
    size = [group_count(batch), target.height, target.width]
    steps = [read.group, stride[0] * read.row, stride[1] * read.pixel]
    order, forward = _product(
        None, output, channel, offset, _planes(target),
        source.channels, (*window.kernel, *stride),
        [*size, *steps, target.group, target.row, target.pixel],
    )  # fmt: skip
    grid = np.array([*size, *steps, back.group, back.row, back.pixel], np.int64)
    gradient = replace(forward, grid=grid, at=_short(_planes(back)))
    taps = _Taps(*(numbers[order] for numbers in (output, channel, y, x)))
    backward = tuple(
        _residue_list(taps, window, (down, right), source, target, back, batch)
        for down in range(min(stride[0], source.height))
        for right in range(min(stride[1], source.width))
    )
    return LayerLists(ordered(index, keep.size, order), forward, backward, gradient)


class _Taps(NamedTuple):
    """The nonzeros of a convolution: output and input channel, row and column in the kernel."""

    output: Int64s
    channel: Int64s
    y: Int64s
    x: Int64s


def _residue_list(
    taps: _Taps,
    window: Window,
    residue: tuple[int, int],
    source: Map,
    target: Map,
    read: Map | Strip,
    batch: int,
) -> ProductList:
    """The way back to the input pixels whose row and column have this residue modulo the stride.

    ``read``: the gradient by the output.
    """
    (down, right), stride = residue, window.stride
    below, beside = down + window.padding[0] - taps.y, right + window.padding[1] - taps.x
    chosen = np.flatnonzero((below % stride[0] == 0) & (beside % stride[1] == 0))
    offset = taps.output[chosen] * read.plane + read.origin
    offset += (below[chosen] // stride[0]) * read.row
    offset += (beside[chosen] // stride[1]) * read.pixel
    high, wide = source.height - down, source.width - right
    spans = [(k - 1) // s + 1 for k, s in zip(window.kernel, stride, strict=True)]
    _, product = _product(
        chosen, taps.channel[chosen], taps.output[chosen], offset,
        _planes(source) + down * source.row + right * source.pixel,
        target.channels, (spans[0], spans[1], 1, 1),
        [group_count(batch), -(-high // stride[0]), -(-wide // stride[1]),
         read.group, read.row, read.pixel,
         source.group, stride[0] * source.row, stride[1] * source.pixel],
    )  # fmt: skip
    return product


def linear_lists(keep: Bits, source: Map, target: Map, batch: int) -> LayerLists:
    """The lists of a linear layer. keep: (O, F), F the features of ``source``, flattened.

    ``target`` has O channels of one pixel. UserError where the shapes do not fit.
    """
    features = source.channels * source.height * source.width
    if keep.shape != (target.channels, features) or (target.height, target.width) != (1, 1):
        raise UserError(f"a linear layer with weight {keep.shape} does not fit {source}, {target}")
    c, y, x = np.unravel_index(np.arange(features), (source.channels, source.height, source.width))
    planes = c * source.plane + y * source.row + x * source.pixel + source.origin
    index = np.flatnonzero(keep)
    output, feature = np.divmod(index, features)
    steps = [source.group, source.row, source.pixel]
    back = [target.group, target.row, target.pixel]
    order, forward = _product(
        None, output, feature, planes[feature], _planes(target), features, (1, 1, 1, 1),
        [group_count(batch), 1, 1, *steps, *back],
    )  # fmt: skip
    output, feature = output[order], feature[order]
    _, backward = _product(
        np.arange(len(output)), feature, output, _planes(target)[output], planes,
        target.channels, (1, 1, 1, 1),
        [group_count(batch), 1, 1, *back, *steps],
    )  # fmt: skip
    return LayerLists(ordered(index, keep.size, order), forward, (backward,), forward)


def _planes(layout: Map | Strip) -> Int64s:
    """Where the planes of a map begin, pixel (0, 0)."""
    return np.arange(layout.channels) * layout.plane + layout.origin


def _product(
    place: Int64s | None,
    row: Int64s,
    plane: Int64s,
    offset: Int64s,
    at: Int64s,
    planes: int,
    field: tuple[int, int, int, int],
    grid: Sequence[int],
) -> tuple[Int64s, ProductList]:
    """The product with these nonzeros, and the order in which it takes them.

    ``place``: where they are in the forward product, or None if this is the forward product.
    ``planes``: how many the input has; ``field``: rows and columns that the taps of a pixel span,
    then the rows and columns from a pixel to the next.
    """
    shape = regions(np.array(grid, np.int64))[0].shape
    high = field[0] + (shape.rows - 1) * field[2]
    wide = field[1] + (shape.columns - 1) * field[3]
    block = shape.groups * high * wide * 4 * W
    slab = plane // slab_planes(planes, len(at), len(row), block)
    slabs = int(slab.max(initial=0)) + 1
    line = slab * len(at) + row
    order = np.argsort(line * (int(offset.max(initial=0)) + 1) + offset)  # no two are equal
    counts = np.bincount(line, minlength=slabs * len(at))
    start = np.concatenate([[0], np.cumsum(counts)])
    product = ProductList(
        np.array(grid, np.int64), _short(start), _short(offset[order]), _short(at),
        _short(np.arange(len(row)) if place is None else place[order]),
    )  # fmt: skip
    return order, product


_SLAB_BYTES = 24_576  # of a 32 KiB first-level cache; the rest holds weights, offsets and sums
_ENOUGH = 24  # nonzeros of a row in a slab: each costs a load and a store of the block


def slab_planes(planes: int, rows: int, nonzeros: int, block: int) -> int:
    """Input planes of a slab: as many as fit the first-level cache, more where rows are short.

    ``block``: the bytes of a plane that one block needs.
    """
    fitting = max(_SLAB_BYTES // block, 1)
    wanted = -(-_ENOUGH * rows * planes // max(nonzeros, 1))
    slabs = -(-planes // max(fitting, wanted))
    return -(-planes // slabs)


def _short(values: Int64s) -> Int32s:
    if values.max(initial=0) > np.iinfo(np.int32).max:
        raise UserError("an activation of one group exceeds 2³¹ floats: the map is too large")
    return values.astype(np.int32)


def _check(shape: tuple[int, ...], window: Window, source: Map, target: Map) -> None:
    given = (target.channels, source.channels, target.height, target.width)
    if given != (shape[0], shape[1], *window.size(source.height, source.width)):
        raise UserError(
            f"a convolution with weight {shape}, stride {window.stride} and padding "
            f"{window.padding} does not lead from {source} to {target}"
        )
    borders = window.borders(source.height, source.width)
    if source.border < borders[0] or target.border < borders[1]:
        raise UserError(
            f"a convolution with weight {shape}, stride {window.stride} and padding "
            f"{window.padding} needs borders of {borders[0]} and {borders[1]}, "
            f"not those of {source} and {target}"
        )
