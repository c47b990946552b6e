"""The gradient of a corner of a weight against that of single weights, in bits."""

from __future__ import annotations

import numpy as np

from winnow.kernels.compile import kernel
from winnow.kernels.corner import COLUMNS, CORNER, ROWS, corner_dots, turn
from winnow.kernels.simd import TILE, W, dots, load_tile, store


@kernel
def by_corner(x, at, delta, row, turned, out):
    turn(x, at, turned)
    a, b, c, d = corner_dots(turned, delta, row)
    store(out, 0 * W, a)
    store(out, 1 * W, b)
    store(out, 2 * W, c)
    store(out, 3 * W, d)


@kernel
def one_by_one(x, columns, delta, row, out):
    for i in range(ROWS):
        for j in range(0, COLUMNS, W):
            store(out, i * COLUMNS + j, dots(x, columns, j, load_tile(delta, row + i * TILE)))


def test_a_corner_has_the_bits_of_single_weights():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(COLUMNS + 3, TILE)).astype(np.float32)
    delta = draw.normal(size=(ROWS + 1, TILE)).astype(np.float32)
    first, row = 2, 1
    turned, corner = np.zeros(CORNER, np.float32), np.zeros((ROWS, COLUMNS), np.float32)
    flat, errors = x.reshape(-1), delta.reshape(-1)
    by_corner(flat, first * TILE, errors, row * TILE, turned, corner.reshape(-1))
    chosen = slice(first, first + COLUMNS)
    assert np.array_equal(turned.reshape(TILE, COLUMNS), x[chosen].T)

    single = np.zeros_like(corner)
    columns = (np.arange(COLUMNS) + first).astype(np.int32) * TILE
    one_by_one(flat, columns, errors, row * TILE, single.reshape(-1))
    assert np.array_equal(corner.view(np.int32), single.view(np.int32))
    expected = delta[row:].astype(np.float64) @ x[chosen].T.astype(np.float64)
    np.testing.assert_allclose(corner, expected, atol=1e-5)
