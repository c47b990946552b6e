"""Where maps lie in memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime.slow_steps import LANES, Maker

from winnow.deployment.runtime.geometry import Geometry, geometries
from winnow.deployment.runtime.kernels.product import LARGEST
from winnow.kernels.simd import W

sides = st.integers(1, 40)


@st.composite
def laid_out(draw):
    border, width = draw(st.integers(0, 3)), draw(sides)
    row = width + border + draw(st.integers(0, 2))
    return Geometry(
        draw(st.integers(1, 4)), draw(st.integers(1, 6)), width, row, border,
        draw(st.sampled_from(LANES)),
    )  # fmt: skip


@given(laid_out())
def test_every_number_has_its_place_and_zeros_around_it(geometry):
    """No two pixels meet, nor a pixel and the border of another channel or row."""
    g = geometry
    pixels = np.ix_(range(g.channels), range(g.height), range(g.width))
    own = np.zeros(g.channels * g.height * g.width, np.int64)
    for i, (c, y, x) in enumerate(itertools.product(*(range(len(a.ravel())) for a in pixels))):
        own[i] = c * g.plane + (y * g.row + x) * g.lanes
    assert np.array_equal(g.places(), own)
    taken = {int(place) + lane for place in own for lane in range(g.lanes)}
    assert len(taken) == len(own) * g.lanes
    assert min(taken) + g.origin >= 0
    assert max(taken) + g.origin < g.size
    edge = range(-g.border, 0)
    for c in range(g.channels):
        around = [(y, x) for y in edge for x in range(-g.border, g.width + g.border)]
        around += [(g.height + y + g.border, x) for y, x in around]
        around += [(y, x) for y in range(g.height) for x in edge]
        around += [(y, g.width + x + g.border) for y in range(g.height) for x in edge]
        for y, x in around:
            place = c * g.plane + (y * g.row + x) * g.lanes
            assert place not in taken
            assert 0 <= place + g.origin < g.size


@given(laid_out())
def test_blocks_cover_each_pixel_once_and_no_other_channel(geometry):
    g = geometry
    found = [f + i for f, count in g.blocks() for i in range(count * W)]
    assert len(found) == len(set(found))
    assert all(1 <= count <= LARGEST for _, count in g.blocks())
    wanted = {(y * g.row + x) * g.lanes + n
              for y in range(g.height) for x in range(g.width) for n in range(g.lanes)}  # fmt: skip
    assert wanted <= set(found)
    assert found == sorted(found)
    valid = {f for f, one in enumerate(g.valid()) if one}
    assert valid == wanted
    if g.lanes > 1:
        assert set(found) == wanted  # what lies between is never written
    elif g.plane > 1:  # features of one example are no business of blocks
        assert max(found) < g.plane


@pytest.mark.parametrize("lanes", LANES)
def test_what_meets_lies_alike(lanes):
    made = Maker()
    x = made.input(3, 9, 10)
    a = made.convolution(x, 4, (5, 5), padding=(2, 2))
    b = made.convolution(x, 4, (3, 3), padding=(1, 1), residual=a)
    c = made.scale(made.sum(a, b))
    d = made.convolution(made.concatenate([c, x]), 2, (3, 3), (2, 2), (1, 1))
    made.made(d)
    found, phases = geometries(made.part, lanes)
    assert len({found[v].row for v in (x, a, b, c)}) == 1
    assert found[a] == found[b] == found[c]
    assert found[x].border == 2
    (strided,) = phases
    assert phases[strided].row == found[d].row
    assert (phases[strided].channels, phases[strided].height) == (4 * 7, 5)
    assert phases[strided].border >= 1
