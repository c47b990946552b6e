"""From a map's shape to the distances in its memory; `winnow.engine.sparse_cpu.graph.map`."""

from __future__ import annotations

from winnow.kernels.arrays import Int64s
from winnow.kernels.compile import kernel
from winnow.kernels.simd import W


@kernel
def map_steps(dims: Int64s) -> tuple[int, int, int, int]:
    """row, plane, group and origin of a map, in floats. ``dims``: channels, height, width, border.

    A row, plane (channel) or group to the next; the origin: where pixel (0, 0) of channel 0 lies.
    """
    channels, height, width, border = dims[0], dims[1], dims[2], dims[3]
    row = (width + 2 * border) * W
    plane = (height + 2 * border) * row
    return row, plane, channels * plane, border * (row + W)
