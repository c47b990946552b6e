"""Crops: against the formulas of their distribution, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.data.crops import (
    ATTEMPTS,
    central_box,
    crop_box,
    draw_crops,
    largest_box,
    scaled_sides,
)

SIDE = 2000  # of a square so large that rounding to pixels is no part of what is seen
COUNT = 20_000


@pytest.fixture(scope="module")
def boxes():
    """Left, top, width and height of many crops of a large square."""
    attempts = draw_crops(COUNT, np.random.default_rng(0)).attempts
    found = np.array([crop_box(a, SIDE, SIDE) for a in attempts], float)
    return found[:, 0], found[:, 1], found[:, 2] - found[:, 0], found[:, 3] - found[:, 1]


def close_to_uniform(values, low=0.0, high=1.0):
    """Kolmogorov's distance, which exceeds 2/√n once in 1500 times."""
    ranks = (np.sort(values) - low) / (high - low)
    grid = np.arange(len(ranks)) / len(ranks)
    return np.abs(ranks - grid).max() < 2 / math.sqrt(len(ranks))


def test_a_uniform_distribution_is_told_from_others():
    uniform = np.random.default_rng(1).random(COUNT)
    assert close_to_uniform(uniform)
    assert not close_to_uniform(uniform**1.1)


def test_areas_below_three_quarters_are_uniform_and_shapes_uniform_in_their_logarithm(boxes):
    """Those of up to 3/4 of a square fit at any shape, so that nothing was tried again for them."""
    _, _, w, h = boxes
    area = w * h / SIDE**2
    free = area < 0.7499
    assert close_to_uniform(area[free], 0.08, 0.75)
    low, high = math.log(3 / 4), math.log(4 / 3)
    assert close_to_uniform(np.log(w / h)[free], low, high)
    assert area.min() == pytest.approx(0.08, abs=1e-3)


def test_larger_areas_are_as_rare_as_shapes_that_fit_leave_them(boxes):
    """Of area a > 3/4 the share ln(1/a) / ln(4/3) of shapes fits: density and integral follow."""
    _, _, w, h = boxes

    def fitting(a):  # the integral of ln(1/a) / ln(4/3) from a to 1
        return (1 - a + a * math.log(a)) / math.log(4 / 3)

    share = fitting(0.75) / (0.75 - 0.08 + fitting(0.75))
    seen = np.mean(w * h / SIDE**2 > 0.75)
    assert seen == pytest.approx(share, abs=4 * math.sqrt(share / COUNT))


def test_every_place_is_equally_likely(boxes):
    left, top, w, h = boxes
    for begin, side in ((left, w), (top, h)):
        room = SIDE - side + 1
        wide = room > 200  # so that the steps of a pixel are small
        assert close_to_uniform((begin[wide] + 0.5) / room[wide])


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_a_box_lies_within_its_image_and_is_the_first_attempt_that_fits(width, height, seed):
    attempts = np.random.default_rng(seed).random((ATTEMPTS, 4))
    left, top, right, bottom = crop_box(attempts, width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    shapes = []
    for a, r, _, _ in attempts:
        pixels = width * height * (0.08 + 0.92 * a)
        ratio = (3 / 4) ** (1 - r) * (4 / 3) ** r
        w, h = round((pixels * ratio) ** 0.5), round((pixels / ratio) ** 0.5)
        if 1 <= w <= width and 1 <= h <= height:
            shapes.append((w, h))
    expected = shapes[0] if shapes else (right - left, bottom - top)
    assert (right - left, bottom - top) == expected


def test_a_strip_has_no_random_part_of_an_allowed_shape():
    attempts = np.random.default_rng(0).random((ATTEMPTS, 4))
    assert crop_box(attempts, 1000, 10) == (493, 0, 506, 10)  # 13 pixels: 10 · 4/3, rounded
    assert crop_box(attempts, 10, 1000) == (0, 493, 10, 506)
    assert largest_box(1, 1) == (0, 0, 1, 1)
    assert largest_box(120, 100) == (0, 0, 120, 100)
    assert largest_box(1, 5000) == (0, 2499, 1, 2500)


def test_draws_do_not_depend_on_how_many_follow_and_mirror_half():
    draws = draw_crops(4000, np.random.default_rng(3))
    assert draws.attempts.shape == (4000, ATTEMPTS, 4)
    assert draws.flips.mean() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(4000))
    again = draw_crops(4000, np.random.default_rng(3))
    np.testing.assert_array_equal(draws.attempts, again.attempts)
    np.testing.assert_array_equal(draws.flips, again.flips)


@pytest.mark.parametrize(
    ("image", "size", "sides", "box"),
    [
        ((500, 375), 224, (341, 256), (58, 16, 282, 240)),  # 341.3 × 256; 58.5 rounds to even
        ((375, 500), 224, (256, 341), (16, 58, 240, 282)),
        ((64, 64), 64, (73, 73), (4, 4, 68, 68)),  # 64 · 256/224 = 73.14
        ((10, 10), 224, (256, 256), (16, 16, 240, 240)),
        ((1000, 1), 8, (9000, 9), (4496, 0, 4504, 8)),
    ],
)
def test_the_central_square_by_hand(image, size, sides, box):
    assert scaled_sides(*image, size) == sides
    assert central_box(*sides, size) == box
