"""The front of accuracy and cost, against the definition over all pairs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from winnow.report.entry.pareto import CostPoint, dominating, pareto_front

coarse = st.integers(0, 4)  # so that equal values happen


def test_by_hand():
    points = {
        "cheap": CostPoint(0.5, 10),
        "waste": CostPoint(0.5, 12),
        "good": CostPoint(0.9, 40),
        "twin": CostPoint(0.9, 40),
        "worse": CostPoint(0.8, 50),
    }
    assert pareto_front(points) == ("cheap", "good", "twin")
    assert dominating(points, "worse") == ("good", "twin")
    assert dominating(points, "waste") == ("cheap",)
    assert dominating(points, "twin") == ()


@given(st.dictionaries(st.text(max_size=3), st.tuples(coarse, coarse), min_size=1, max_size=8))
def test_the_front_is_what_nothing_beats(numbers):
    points = {name: CostPoint(*pair) for name, pair in numbers.items()}
    front = pareto_front(points)
    for name, point in points.items():
        beaten = any(
            (other.accuracy > point.accuracy and other.cost <= point.cost)
            or (other.accuracy >= point.accuracy and other.cost < point.cost)
            for other in points.values()
        )
        assert (name in front) == (not beaten)
    costs = [points[name].cost for name in front]
    assert costs == sorted(costs)
