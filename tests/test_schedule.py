"""Schedules against their closed forms."""

from __future__ import annotations

import math

import pytest

from winnow.errors import UserError
from winnow.schedule import check_decay, cosine_drop, cubic, drop_fraction


def test_cubic_is_zhu_and_gupta_in_sparsities() -> None:
    for step in range(100, 301, 20):
        sparsity = 0.9 + (0.25 - 0.9) * (1 - (step - 100) / 200) ** 3
        found = cubic(step, start=100, end=300, initial=0.75, final=0.1)
        assert found == pytest.approx(1 - sparsity)
    assert cubic(0, start=100, end=300, final=0.1) == 1
    assert cubic(999, start=100, end=300, final=0.1) == 0.1
    with pytest.raises(UserError, match="not after its start 5"):
        cubic(0, start=5, end=5, final=0.1)
    with pytest.raises(UserError, match="density is 2"):
        cubic(0, start=0, end=5, final=2)


def test_cosine_drop() -> None:
    assert cosine_drop(0, end=100) == 0.3
    assert cosine_drop(50, end=100, fraction=0.5) == pytest.approx(0.25)
    assert cosine_drop(25, end=100) == pytest.approx(0.15 * (1 + 2**-0.5))
    assert cosine_drop(100, end=100) == cosine_drop(1000, end=100) == 0
    with pytest.raises(UserError, match="until step 0"):
        cosine_drop(0, end=0)


@pytest.mark.parametrize("floor", [0.0, 0.005])
def test_drop_fractions_fall_from_the_fraction_to_the_floor(floor: float) -> None:
    for step in range(0, 141, 20):
        done = min(step / 120, 1.0)
        half = (1 + math.cos(math.pi * done)) / 2
        of = {"end": 120, "fraction": 0.4, "floor": floor}
        assert drop_fraction("constant", step, **of) == 0.4
        assert drop_fraction("linear", step, **of) == pytest.approx(
            floor + (0.4 - floor) * (1 - done)
        )
        assert drop_fraction("cosine", step, **of) == pytest.approx(floor + (0.4 - floor) * half)
    assert drop_fraction("cosine", 0, end=9) == drop_fraction("linear", 0, end=9) == 0.3
    assert drop_fraction("linear", 9, end=9) == drop_fraction("linear", 90, end=9) == 0


def test_what_is_no_decay_or_fraction() -> None:
    with pytest.raises(UserError, match=r"unknown decay 'cosin'\. Did you mean 'cosine'"):
        drop_fraction("cosin", 0, end=9)
    for decay in ("constant", "linear", "cosine"):
        check_decay(decay)
    for decay in ("constant", "cosine"):
        with pytest.raises(UserError, match=r"density is 1\.5"):
            drop_fraction(decay, 0, end=9, fraction=1.5)
    with pytest.raises(UserError, match=r"density is 2"):
        cubic(0, start=0, end=5, initial=2, final=0.5)
