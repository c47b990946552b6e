"""The regions that cover a grid."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from winnow.engine.sparse_cpu.graph.regions import regions
from winnow.engine.sparse_cpu.kernels.block_shapes import MOST_VECTORS, block_shapes
from winnow.kernels.simd import W

sides = st.integers(1, 33)


@given(st.integers(1, 9), sides, sides, st.integers(1, 4))
def test_regions_hold_every_pixel_once(deep, rows, columns, step):
    held = np.zeros((deep, rows, columns), int)
    known = block_shapes()
    for shape, *region in regions(np.array([deep, rows, columns, 0, 0, step * W, 0, 0, 0])):
        assert shape in known
        assert shape.columns == 1 or shape.step == step
        assert shape.groups * shape.rows * shape.columns <= MOST_VECTORS
        begins, ends = region[::2], region[1::2]
        for begin, end, side in zip(begins, ends, shape[:3], strict=True):
            assert (end - begin) % side == 0
        held[tuple(slice(b, e) for b, e in zip(begins, ends, strict=True))] += 1
    assert (held == 1).all()
