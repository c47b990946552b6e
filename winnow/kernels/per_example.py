"""Sums of |g| or g² over examples, g the gradient of a 3x3 convolution's weights by one example.

W examples lie side by side in a vector, so that each element holds the gradient of its own example:
the sums over the pixels of nine taps stay in registers, and their absolute values are added up
before anything is written. No example's gradient ever lies in memory, and no unfolded image does.

Activations lie channel by channel here, (channels, groups, rows, columns, W), because a pair of
channels meets all examples in turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba.core import types
from torch import Tensor

from winnow.kernels.arrays import Floats, Int64s, aligned
from winnow.kernels.bundle import add_absolute, add_square, fma_taps
from winnow.kernels.cache import prepare
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import W, load_vector, splat, total
from winnow.kernels.transpose import transpose

TAPS = 9
_PLANES = 64 * 1024  # bytes of one channel's examples that take part at a time
_BLOCK = 384 * 1024  # bytes of outputs that all inputs meet before the next: second-level cache


@kernel
def _zeros() -> Any:
    zero = splat(np.float32(0))
    return (zero, zero, zero, zero, zero, zero, zero, zero, zero)


@kernel
def side_by_side(x: Floats, examples: int, places: Int64s, group: int, out: Floats) -> None:
    """Number f of example W·g + j goes to out[places[f] + g·group + j]. x (examples, F), flat."""
    size = places.size
    for first in range(0, examples, W):
        base = first // W * group
        f = 0
        if size >= W and first + W <= examples:
            while f < size:
                f = min(f, size - W)  # the last block may overlap the one before
                transpose(x, first * size + f, size, out, places, f, base)
                f += W
        else:
            for i in range(min(W, examples - first)):
                for f in range(size):
                    out[base + places[f] + i] = x[(first + i) * size + f]


@kernel
def _add_totals(out: Floats, at: int, bundle: Any) -> None:
    for k in range(len(bundle)):
        out[at + k] += total(bundle[k])


@kernel
def add_moments(
    delta: Floats,
    x: Floats,
    out: Floats,
    sizes: Int64s,
    square: bool,
    together: int,
    block: int,
) -> None:
    """Add the sums over examples to out (O, C, 9). delta (O, …), x (C, …), laid out as above.

    ``sizes``: outputs O (even), inputs C, groups, rows and columns of delta, rows and columns of
    x, vertical and horizontal stride. ``together``: groups at a time. ``block``: outputs, even.
    """
    outputs, inputs, groups, rows, columns, height, width, down, right = sizes
    row = width * W
    for start in range(0, groups, together):
        end = min(groups, start + together)
        for corner in range(0, outputs, block):
            for c in range(inputs):
                for o in range(corner, min(outputs, corner + block), 2):
                    even, odd = _zeros(), _zeros()
                    for g in range(start, end):
                        a, b = _zeros(), _zeros()
                        d = (o * groups + g) * rows * columns * W
                        e = d + groups * rows * columns * W
                        for i in range(rows):
                            at = ((c * groups + g) * height + i * down) * row
                            for _ in range(columns):
                                a = fma_taps(a, load_vector(delta, d), x, at, row)
                                b = fma_taps(b, load_vector(delta, e), x, at, row)
                                d += W
                                e += W
                                at += right * W
                        if square:
                            even, odd = add_square(even, a), add_square(odd, b)
                        else:
                            even, odd = add_absolute(even, a), add_absolute(odd, b)
                    _add_totals(out, (o * inputs + c) * TAPS, even)
                    _add_totals(out, ((o + 1) * inputs + c) * TAPS, odd)


class Buffers:
    """The kernels, and the memory they work in: as much as the largest layer asked for."""

    def __init__(self) -> None:
        prepare("per-example", ENTRIES)
        self._buffers = {name: aligned(0, 0.0) for name in ("x", "delta")}

    def moment(
        self,
        x: Tensor,
        delta: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
        square: bool,
    ) -> Tensor:
        """Σᵢ |gᵢ|, or Σᵢ gᵢ², (O, C, 3, 3). x (N, C, H, W), delta (N, O, H', W'), on the CPU.

        ``delta``: by the convolution's output. Float32; other types are converted.
        """
        count, inputs, height, width = x.shape
        outputs, rows, columns = delta.shape[1:]
        even = outputs + outputs % 2
        groups = -(-count // W)
        x_beside = self._side_by_side("x", x, inputs, padding)
        delta_beside = self._side_by_side("delta", delta, even, (0, 0))
        outer = (height + 2 * padding[0], width + 2 * padding[1])
        sizes = np.array([even, inputs, groups, rows, columns, *outer, *stride], np.int64)
        plane = 4 * W * rows * columns
        together = min(groups, max(1, _PLANES // plane))
        block = max(1, _BLOCK // (plane * together * 2)) * 2
        out = np.zeros(even * inputs * TAPS, np.float32)
        add_moments(delta_beside, x_beside, out, sizes, square, together, block)
        return torch.from_numpy(out).view(even, inputs, 3, 3)[:outputs]

    def _side_by_side(self, name: str, x: Tensor, channels: int, border: tuple[int, int]) -> Floats:
        """(N, C, H, W) as (channels >= C, groups, H + 2·border, W + 2·border, W), the rest 0."""
        count, own, height, width = x.shape
        groups = -(-count // W)
        high, wide = height + 2 * border[0], width + 2 * border[1]
        row = wide * W
        plane = high * row
        size = channels * groups * plane
        if self._buffers[name].size < size:
            self._buffers[name] = aligned(size, 0.0)
        out = self._buffers[name][:size]
        if count % W or channels > own:
            out[:] = 0
        else:  # all but the border is written below
            _clear_border(out.reshape(channels, groups, high, wide, W), border)
        channel, i, j = np.ogrid[:own, :height, :width]
        places = channel * (groups * plane) + (i + border[0]) * row + (j + border[1]) * W
        flat = x.detach().to(torch.float32).contiguous().view(-1).numpy()
        side_by_side(flat, count, places.reshape(-1).astype(np.int64), plane, out)
        return out


def _clear_border(maps: np.ndarray[Any, Any], border: tuple[int, int]) -> None:
    """Zeros around maps (channels, groups, rows, columns, W)."""
    down, right = border
    if down:
        maps[:, :, :down] = 0
        maps[:, :, -down:] = 0
    if right:
        maps[:, :, :, :right] = 0
        maps[:, :, :, -right:] = 0


_floats, _integers = types.float32[::1], types.int64[::1]
ENTRIES = (
    EntryPoint(side_by_side, (_floats, types.int64, _integers, types.int64, _floats)),
    EntryPoint(
        add_moments,
        (_floats, _floats, _floats, _integers, types.boolean, types.int64, types.int64),
    ),
)
