"""Lists of nonzeros."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.engine.sparse_cpu.graph import lists
from winnow.engine.sparse_cpu.graph.map import Map, group_count
from winnow.engine.sparse_cpu.graph.window import Window
from winnow.engine.sparse_cpu.kernels import grid as grids
from winnow.errors import UserError
from winnow.kernels.simd import W


@st.composite
def convolutions(draw):
    window = Window(
        (draw(st.integers(1, 5)), draw(st.integers(1, 5))),
        (draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
    )
    high, wide = (
        draw(st.integers(max(k - 2 * p, 1), 12))
        for k, p in zip(window.kernel, window.padding, strict=True)
    )
    before, after = window.borders(high, wide)
    channels = [draw(st.integers(1, 9)) for _ in range(2)]
    source = Map(channels[0], high, wide, before + draw(st.integers(0, 1)))
    target = Map(channels[1], *window.size(high, wide), after + draw(st.integers(0, 1)))
    seed, density = draw(st.integers(0, 99)), draw(st.sampled_from([1, 0.5, 0.1, 0]))
    keep = np.random.default_rng(seed).random((channels[1], channels[0], *window.kernel)) < density
    with mock.patch.object(lists, "_SLAB_BYTES", draw(st.sampled_from([1, 24_576]))):
        made = lists.convolution_lists(
            keep, window.stride, window.padding, source, target, 3 * W - 1
        )
    return window, source, target, keep, made


@given(convolutions())
def test_every_nonzero_of_a_convolution_is_listed_once_in_each_direction(case):
    window, source, target, keep, made = case
    assert sorted(made.index) == list(np.flatnonzero(keep))
    assert list(made.forward.place) == list(range(len(made.index)))
    places = np.concatenate([p.place for p in made.backward])
    assert len(set(places)) == len(places)
    # A nonzero is missing on the way back only where its tap meets the padding alone.
    if source.height >= window.stride[0] and source.width >= window.stride[1]:
        assert sorted(places) == list(made.forward.place)
    for product in (made.forward, *made.backward):
        assert product.start[0] == 0
        assert product.start[-1] == len(product.offset)
        assert (np.diff(product.start) >= 0).all()
        assert product.scratch <= W * len(product.offset)
        assert (product.over(5 * W)[0], product.grid[0]) == (5, 3)
    pixels = sum(p.grid[grids.ROWS] * p.grid[grids.COLUMNS] for p in made.backward)
    assert pixels == source.height * source.width
    assert len(made.forward.at) == target.channels


@given(convolutions())
def test_no_nonzero_of_a_convolution_reads_beyond_its_plane(case):
    _, source, target, _, made = case
    products = [(made.forward, source), *((p, target) for p in made.backward)]
    for product, read in products:
        grid = product.grid
        far = (grid[grids.ROWS] - 1) * grid[grids.IN_ROW]
        far += (grid[grids.COLUMNS] - 1) * grid[grids.IN_PIXEL]
        first = product.offset // read.plane
        assert ((first >= 0) & (first < read.channels)).all()
        assert ((product.offset + far) // read.plane == first).all()


def test_a_linear_layer_reads_its_features_past_the_border():
    source, target = Map(3, 2, 5, 2), Map(4)
    keep = np.random.default_rng(0).random((4, 30)) < 0.4
    made = lists.linear_lists(keep, source, target, 2 * W)
    (back,) = made.backward
    layout = np.full((3, 6, 9), -1)
    layout[:, 2:4, 2:7] = np.arange(30).reshape(3, 2, 5)
    features = layout.ravel()
    assert list(features[made.forward.offset // W]) == list(np.flatnonzero(keep) % 30)
    assert list(features[back.at // W]) == list(range(30))
    assert sorted(back.place) == list(range(keep.sum()))
    assert list(made.forward.grid[:4]) == [group_count(2 * W), 1, 1, source.group]


def test_rows_of_slabs_are_long_enough_and_their_input_fits():
    assert lists.slab_planes(64, 64, 64 * 64 * 9, 2304) == 10  # 22.5 KiB of 64 planes
    assert (
        lists.slab_planes(64, 64, 64 * 64 * 9 // 10, 2304) == 22
    )  # 24 nonzeros in a row, of equal slabs
    assert lists.slab_planes(64, 64, 64 * 64 * 9 // 100, 2304) == 64
    assert lists.slab_planes(16, 16, 0, 2304) == 16
    assert lists.slab_planes(5, 8, 5 * 8 * 24, 10**6) == 1


def test_maps_that_do_not_fit_are_refused():
    keep = np.ones((4, 3, 3, 3), bool)
    fitting = Map(3, 8, 8, 1), Map(4, 8, 8, 1)
    lists.convolution_lists(keep, (1, 1), (1, 1), *fitting, 1)
    with pytest.raises(UserError, match="does not lead from"):
        lists.convolution_lists(keep, (2, 2), (1, 1), *fitting, 1)
    for source, target in ((Map(3, 8, 8), fitting[1]), (fitting[0], Map(4, 8, 8))):
        with pytest.raises(UserError, match="needs borders of 1 and 1"):
            lists.convolution_lists(keep, (1, 1), (1, 1), source, target, 1)
    with pytest.raises(UserError, match="does not fit"):
        lists.linear_lists(np.ones((5, 7), bool), Map(2, 2, 2), Map(5), 1)


def test_a_map_beyond_the_range_of_offsets_is_refused():
    side = 2**14
    keep = np.ones((1, 1, 1, 1), bool)
    large = Map(2**31 // (side * side * W) + 2, side, side)
    with pytest.raises(UserError, match="too large"):
        lists.convolution_lists(
            keep.repeat(large.channels, 1), (1, 1), (0, 0), large, Map(1, side, side), 1
        )
