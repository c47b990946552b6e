"""What updates are made of, against sorting by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from dynamic_jobs import masks, tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.algorithms.dynamic import exchange

SHAPES = {"a": (5, 7), "b": (3, 2, 2, 2), "c": (4,)}


def ranked(score: torch.Tensor, among: torch.Tensor) -> list[int]:
    """Flat indices from the largest score down; equal ones by index."""
    flat = score.reshape(-1).tolist()
    places = among.reshape(-1).nonzero().squeeze(1).tolist()
    return sorted(places, key=lambda i: (-flat[i], i))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1), st.data())
def test_dropped_are_the_smallest_and_grown_the_largest(seed, density, data):
    weights, scores = tensors(seed, SHAPES), tensors(seed + 1, SHAPES)
    mask = masks(seed, SHAPES, density)
    before = exchange.counted(mask)
    drops = {name: data.draw(st.integers(0, n)) for name, n in before.items()}
    values = {name: weights[name][keep] for name, keep in mask.items()}
    kept = exchange.drop_smallest(values, mask, drops)
    free = exchange.room(kept)
    wanted = {name: data.draw(st.integers(0, n + 3)) for name, n in free.items()}
    grown = exchange.grow_largest(scores, kept, wanted)
    for name in SHAPES:
        order = ranked(weights[name].abs(), mask[name])
        assert set(ranked(weights[name], kept[name])) == set(order[: before[name] - drops[name]])
        new = grown[name] & ~kept[name]
        count = min(wanted[name], free[name])  # a full tensor grows what it can
        assert set(ranked(scores[name], new)) == set(ranked(scores[name], ~kept[name])[:count])
        assert bool((grown[name] | ~kept[name]).all())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1), st.booleans())
def test_random_growth_is_exact_and_spares_what_is_barred(seed, density, barring):
    mask, barred = masks(seed, SHAPES, density), masks(seed + 1, SHAPES, 0.3)
    counts = {"a": 4, "b": 9, "c": 2}
    grown = exchange.grow_random(mask, counts, seed, "x", 5, barred=barred if barring else None)
    for name, keep in mask.items():
        new = grown[name] & ~keep
        open_places = ~(keep | barred[name]) if barring else ~keep
        assert bool((grown[name] | ~keep).all())
        assert bool((~new | open_places).all())
        assert int(new.sum()) == min(counts[name], int(open_places.sum()))
    again = exchange.grow_random(mask, counts, seed, "x", 5, barred=barred if barring else None)
    assert all(torch.equal(grown[name], again[name]) for name in mask)


def test_random_growth_is_uniform():
    mask = {"a": torch.tensor([True] + [False] * 5)}
    seen: Counter[int] = Counter()
    for step in range(3000):
        seen.update(exchange.grow_random(mask, {"a": 2}, 0, step)["a"].nonzero().flatten().tolist())
    assert seen.pop(0) == 3000
    assert all(abs(count - 1200) < 5 * (3000 * 0.4 * 0.6) ** 0.5 for count in seen.values())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 20)), min_size=1, max_size=5), st.data())
def test_shares_are_exact_capped_and_proportional(pairs, data):
    caps = {str(i): cap for i, (_, cap) in enumerate(pairs)}
    shares = {str(i): share for i, (share, _) in enumerate(pairs)}
    total = data.draw(st.integers(0, sum(caps.values())))
    given_out = exchange.share_out(total, shares, caps)
    assert sum(given_out.values()) == total
    assert all(0 <= given_out[name] <= caps[name] for name in caps)
    open_ones = [n for n in caps if given_out[n] < caps[n] and shares[n] > 1e-6]
    for one in open_ones:  # nobody with room got less than in proportion to anybody else
        for other in caps:
            if shares[other] > 1e-6:
                ratio = shares[one] / shares[other]
                assert given_out[one] + 1 >= (given_out[other] - 1) * ratio


def test_shares_by_hand():
    caps = {"a": 10, "b": 3, "c": 10}
    assert exchange.share_out(12, {"a": 1, "b": 2, "c": 1}, caps) == {"a": 5, "b": 3, "c": 4}
    assert exchange.share_out(8, {"a": 0, "b": 1, "c": float("nan")}, caps) == {
        "a": 3,
        "b": 3,
        "c": 2,
    }
    uneven = {"a": 20, "b": 3, "c": 5}  # without shares: in proportion to what they can take
    assert exchange.share_out(13, {"a": 0, "b": 1, "c": 0}, uneven) == {"a": 8, "b": 3, "c": 2}
    assert exchange.share_out(0, {"a": 0, "b": 0, "c": 0}, caps) == {"a": 0, "b": 0, "c": 0}


def test_parts_are_what_is_meant():
    assert [exchange.fraction_of(n, f) for n, f in ((100, 0.29), (10, 0.3), (9, 0.3))] == [29, 3, 2]


@given(st.integers(0, 99), st.integers(1, 60), st.floats(0, 1))
def test_vacant_indices_are_drawn_and_merged_without_a_list_of_them(seed, size, density):
    keep = torch.from_numpy(np.random.default_rng(seed).random(size) < density)
    held = keep.nonzero().squeeze(1)
    count = min(5, size - len(held))
    drawn = exchange.draw_vacant(held, size, 5, seed, "test").sort().values
    assert len(drawn.unique()) == count
    assert not keep[drawn].any()
    both = exchange.merged(held, drawn)
    assert both.tolist() == sorted([*held.tolist(), *drawn.tolist()])
    assert torch.equal(exchange.chosen_of(torch.arange(size), keep), held)
