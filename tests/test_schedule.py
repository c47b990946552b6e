"""Schedules against their closed forms."""

from __future__ import annotations

import pytest

from winnow.errors import UserError
from winnow.schedule import cosine_drop, cubic


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
