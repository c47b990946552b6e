"""Lists of the nonzeros of a layer, as `winnow.engine.sparse_cpu.correlate` takes them.

A convolution's forward product has a row for each output channel; its nonzeros read the input. Its
way back has a row for each input channel; its nonzeros, the same ones transposed, read the gradient
by the output. With stride s, an input pixel meets only the taps of its own residue modulo s, so
there is one backward product for each residue of rows and columns, whose output pixels are s apart.
A residue that no tap meets has a product without nonzeros, which stores 0 (or what it accumulates
on): together the products write every input pixel once, and no border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.engine.sparse_cpu.cover import GROUPS, Numbers, regions
from winnow.engine.sparse_cpu.layout import Map, groups
from winnow.engine.sparse_cpu.places import Places, ordered
from winnow.errors import UserError
from winnow.kernels.arrays import Integers
from winnow.kernels.simd import W


@dataclass(frozen=True)
class Product:
    """One product: see `winnow.engine.sparse_cpu.correlate` for what the arrays mean."""

    grid: Numbers  # (9,); its first entry, the groups, may be lowered for a smaller batch
    start: Integers  # (slabs · rows + 1,)
    offset: Integers  # (nonzeros,)
    at: Integers  # (rows,)
    place: Integers  # (nonzeros,) which nonzero of the forward product

    def over(self, batch: int) -> Numbers:
        """The grid for another batch size."""
        grid = self.grid.copy()
        grid[GROUPS] = groups(batch)
        return grid

    @property
    def scratch(self) -> int:
        """The floats of scratch that `correlate_gradient.weight_gradient` needs."""
        slabs = self.start[:: max(len(self.at), 1)]
        return int(np.diff(slabs).max(initial=0)) * W


@dataclass(frozen=True)
class Nonzeros:
    """A layer's nonzeros: where they stand in the dense weight, and its products."""

    places: Places  # in the dense weight, in forward order
    forward: Product
    backward: tuple[Product, ...]

    @property
    def index(self) -> NDArray[np.int64]:
        """(nonzeros,) where they stand in the flat dense weight, in forward order."""
        return self.places.flat


@dataclass(frozen=True)
class Window:
    """How a convolution moves over its input: vertically, horizontally."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output."""
        sides = zip((height, width), self.kernel, self.stride, self.padding, strict=True)
        high, wide = ((side + 2 * p - k) // s + 1 for side, k, s, p in sides)
        return high, wide

    def borders(self, height: int, width: int) -> tuple[int, int]:
        """The borders that the input, and the gradient by the output, need at least."""
        back = 0
        outputs = self.size(height, width)
        for side, out, k, s, p in zip(
            (height, width), outputs, self.kernel, self.stride, self.padding, strict=True
        ):
            for residue in range(min(s, side)):
                last = (side - 1 - residue) // s
                for tap in range((residue + p) % s, k, s):
                    first = (residue + p - tap) // s
                    back = max(back, -first, first + last - (out - 1))
        return max(self.padding), back


def convolution(
    keep: NDArray[np.bool_],
    stride: tuple[int, int],
    padding: tuple[int, int],
    source: Map,
    target: Map,
    batch: int,
) -> Nonzeros:
    """The lists of a convolution from ``source`` to ``target``. keep: (O, I, kh, kw).

    ``target`` is the layout of the output and of its gradient, ``source`` that of the input and of
    its gradient. UserError where the maps do not fit, or their borders are less than
    `Window.borders` asks.
    """
    window = Window((keep.shape[2], keep.shape[3]), stride, padding)
    _check(keep.shape, window, source, target)
    index = np.flatnonzero(keep)
    output, channel, y, x = np.unravel_index(index, keep.shape)
    offset = channel * source.plane + source.origin
    offset += (y - padding[0]) * source.row + (x - padding[1]) * source.pixel
    steps = (stride[0] * source.row, stride[1] * source.pixel)
    order, forward = _product(
        None, output, channel, offset, _planes(target),
        source.channels, (*window.kernel, *stride),
        [groups(batch), target.height, target.width, source.group, *steps,
         target.group, target.row, target.pixel],
    )  # fmt: skip
    output, channel, y, x = (a[order] for a in (output, channel, y, x))
    backward = []
    span = ((window.kernel[0] - 1) // stride[0] + 1, (window.kernel[1] - 1) // stride[1] + 1)
    for down in range(min(stride[0], source.height)):
        for right in range(min(stride[1], source.width)):
            meets = ((down + padding[0] - y) % stride[0] == 0) & (
                (right + padding[1] - x) % stride[1] == 0
            )
            chosen = np.flatnonzero(meets)
            row = (down + padding[0] - y[chosen]) // stride[0]
            column = (right + padding[1] - x[chosen]) // stride[1]
            offset = output[chosen] * target.plane + target.origin
            offset += row * target.row + column * target.pixel
            high, wide = source.height - down, source.width - right
            pixels = [groups(batch), -(-high // stride[0]), -(-wide // stride[1])]
            at = _planes(source) + down * source.row + right * source.pixel
            _, product = _product(
                chosen, channel[chosen], output[chosen], offset, at,
                target.channels, (*span, 1, 1),
                [*pixels, target.group, target.row, target.pixel, source.group, *steps],
            )  # fmt: skip
            backward.append(product)
    return Nonzeros(ordered(index, keep.size, order), forward, tuple(backward))


def linear(keep: NDArray[np.bool_], source: Map, target: Map, batch: int) -> Nonzeros:
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
        [groups(batch), 1, 1, *steps, *back],
    )  # fmt: skip
    output, feature = output[order], feature[order]
    _, backward = _product(
        np.arange(len(output)), feature, output, _planes(target)[output], planes,
        target.channels, (1, 1, 1, 1),
        [groups(batch), 1, 1, *back, *steps],
    )  # fmt: skip
    return Nonzeros(ordered(index, keep.size, order), forward, (backward,))


def _planes(layout: Map) -> NDArray[np.int64]:
    """Where the planes of a map begin, pixel (0, 0)."""
    return np.arange(layout.channels) * layout.plane + layout.origin


def _product(
    place: NDArray[np.int64] | None,
    row: NDArray[np.int64],
    plane: NDArray[np.int64],
    offset: NDArray[np.int64],
    at: NDArray[np.int64],
    planes: int,
    field: tuple[int, int, int, int],
    grid: Sequence[int],
) -> tuple[NDArray[np.int64], Product]:
    """The product with these nonzeros, and the order in which it takes them.

    ``place``: where they stand in the forward product, or None if this is the forward product.
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
    product = Product(
        np.array(grid, np.int64), _short(start), _short(offset[order]), _short(at),
        _short(np.arange(len(row)) if place is None else place[order]),
    )  # fmt: skip
    return order, product


_SLAB_BYTES = 24_576  # of a 32 KiB first-level cache; the rest holds weights, offsets and sums
_ENOUGH = 12  # nonzeros of a row in a slab: each costs a load and a store of the block


def slab_planes(planes: int, rows: int, nonzeros: int, block: int) -> int:
    """Input planes of a slab: as many as fit the first-level cache, more where rows are short.

    ``block``: the bytes of a plane that one block needs.
    """
    fitting = max(_SLAB_BYTES // block, 1)
    wanted = -(-_ENOUGH * rows * planes // max(nonzeros, 1))
    slabs = -(-planes // max(fitting, wanted))
    return -(-planes // slabs)


def _short(values: NDArray[np.int64]) -> Integers:
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
