"""Where what is kept lies, before and after a change: against slow and plain ways."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.engine.sparse_cpu.chain.lists import KeptLayer, chain_lists
from winnow.engine.sparse_cpu.places import changed_index, move, ordered, places, stable_order


def masks(seed, size, density, changes):
    """A mask, and one that differs in some entries."""
    draw = np.random.default_rng(seed)
    was = draw.random(size) < density
    keep = was.copy()
    where = draw.integers(0, size, changes)
    keep[where] = ~keep[where]
    return was, keep


@given(st.integers(0, 99), st.integers(1, 70), st.floats(0, 1), st.integers(0, 9))
def test_what_is_kept_after_a_change_is_what_a_mask_says(seed, size, density, changes):
    was, keep = masks(seed, size, density, changes)
    assert np.array_equal(changed_index(places(was), was, keep), np.flatnonzero(keep))


@given(st.integers(0, 99), st.integers(1, 70), st.floats(0, 1), st.integers(0, 9))
def test_values_move_with_their_entries_whatever_the_orders(seed, size, density, changes):
    was, keep = masks(seed, size, density, changes)
    draw = np.random.default_rng(seed + 1)
    sides = []
    for bits in (was, keep):
        index = np.flatnonzero(bits)
        sides.append(ordered(index, size, draw.permutation(len(index))))
    before, after = sides
    anew = keep & (draw.random(size) < 0.3)
    dense = draw.standard_normal(size).astype(np.float32)
    dense[~was] = 0
    first = draw.standard_normal(int(anew.sum())).astype(np.float32)
    moved = move(before, after, was, keep, anew).values(before.of(dense), first)
    expected = np.where(keep, dense, 0)
    expected[anew] = first
    assert np.array_equal(after.ascending(moved), expected[keep])
    plain = move(before, after, was, keep, None).values(before.of(dense))
    assert np.array_equal(after.ascending(plain), np.where(keep, dense, 0)[keep])


@pytest.mark.parametrize("below", [1, 7, 1000, 2**16, 2**16 + 1, 10**6])
def test_small_and_large_numbers_are_sorted_stably(below):
    numbers = np.random.default_rng(0).integers(0, below, 5000)
    expected = sorted(range(5000), key=lambda i: (numbers[i], i))
    assert stable_order(numbers, below).tolist() == expected


@pytest.mark.parametrize(("outputs", "inputs", "density"), [(30, 784, 0.3), (9, 5, 0.6), (4, 3, 0)])
def test_lists_of_a_chain_are_in_the_order_of_slab_row_and_column(outputs, inputs, density):
    keep = np.random.default_rng(0).random((outputs, inputs + 1)) < density
    lists = chain_lists(KeptLayer(keep, True), back=True)
    index = lists.places.flat
    row, column = np.divmod(index, inputs + 1)
    lines = np.repeat(np.arange(lists.slabs * outputs), np.diff(lists.start))
    assert np.array_equal(lines % outputs, row)
    entries = list(zip(lines, column, strict=True))
    assert entries == sorted(entries)
    assert np.array_equal(np.sort(index), np.flatnonzero(keep))
    place, back = lists.place, list(zip(column[lists.place], row[lists.place], strict=True))
    assert back == sorted(back)
    assert sorted(place) == [i for i, c in enumerate(column) if c < inputs]
    again = chain_lists(KeptLayer(keep, True), back=True, index=np.flatnonzero(keep))
    assert all(np.array_equal(a, again.arrays[name]) for name, a in lists.arrays.items())
