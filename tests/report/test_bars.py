"""Bars of text: lengths by hand, and that they never mislead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.report.bars import BLOCKS, text_bar


@pytest.mark.parametrize(
    ("value", "drawn", "plain"),
    [
        (0.0, "", ""),
        (-1.0, "", ""),
        (1.0, "████", "####"),
        (2.0, "████", "####"),
        (0.5, "██", "##"),
        (0.53125, "██▏", "##"),
        (0.03125, "▏", ""),
        (0.21875, "▉", "#"),
    ],
)
def test_lengths(value: float, drawn: str, plain: str) -> None:
    assert text_bar(value, 1.0, 4) == drawn
    assert text_bar(value, 1.0, 4, blocks=False) == plain


def test_nothing_to_compare_with_is_no_bar() -> None:
    assert text_bar(1.0, 0.0, 4) == ""
    assert text_bar(float("nan"), 1.0, 4) == ""


@given(st.floats(0, 10), st.floats(0, 10), st.integers(0, 40))
def test_a_larger_value_never_has_a_shorter_bar(first: float, second: float, width: int) -> None:
    small, large = sorted((first, second))

    def eighths(value: float) -> int:
        bar = text_bar(value, 10.0, width)
        assert set(bar) <= set(BLOCKS)
        assert len(bar) <= width
        return sum(8 if c == "█" else " ▏▎▍▌▋▊▉".index(c) for c in bar)

    assert eighths(small) <= eighths(large)
