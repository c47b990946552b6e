from __future__ import annotations

import pytest

from winnow.report import wording


@pytest.mark.parametrize(
    ("density", "text"),
    [(1.0, "100"), (0.513, "51.3"), (0.0355, "3.5"), (0.0103, "1.0"), (0.0031, "0.31")],
)
def test_densities_as_the_paper_prints_them(density: float, text: str) -> None:
    assert wording.percent(density) == text


def test_differences_have_a_sign_and_no_negative_zero() -> None:
    assert wording.signed_points(0.0123) == "+1.23"
    assert wording.signed_points(-0.00001) == "+0.00"
    assert wording.signed_count(-1234.4) == "-1,234"
    assert wording.signed_count(-0.2) == "+0"


def test_three_neighbours_become_a_span() -> None:
    labels = list("abcdefg")
    assert wording.spans([0, 1, 2, 4, 6], labels) == "a to c, e, g"
    assert wording.spans([0, 1], labels) == "a, b"
    assert wording.spans([], labels) == ""


@pytest.mark.parametrize(
    ("density", "text"),
    [(0.9996, "100"), (0.9994, "99.9"), (0.0095, "0.9"), (0.0094, "0.94"), (0.00951, "1.0")],
)
def test_densities_at_the_ends_of_a_format(density: float, text: str) -> None:
    assert wording.percent(density) == text


def test_numbers_and_nouns() -> None:
    assert wording.accuracy(0.98765) == "98.77"
    assert wording.signed_points(-0.01234) == "-1.23"
    assert wording.rounded(13_120.4) == "13,120"
    assert wording.signed_count(1234.6) == "+1,235"
    assert (wording.plural(1, "run"), wording.plural(0, "run")) == ("1 run", "0 runs")
    assert wording.plural(1234, "run") == "1,234 runs"


def test_spans_go_on_only_with_the_next_neighbour() -> None:
    labels = list("abcdefg")
    assert wording.spans([0], labels) == "a"
    assert wording.spans([0, 2, 4], labels) == "a, c, e"
    assert wording.spans([1, 2, 3, 5, 6], labels) == "b to d, f, g"
