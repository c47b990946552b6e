"""Accuracy against cost: which methods nothing else beats in both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CostPoint:
    """A method: its mean accuracy, and its mean cost in epochs of a network."""

    accuracy: float
    cost: float

    def dominates(self, other: CostPoint) -> bool:
        """Whether it is at least as good in both, and better in one."""
        no_worse = self.accuracy >= other.accuracy and self.cost <= other.cost
        return no_worse and self != other


def pareto_front(points: Mapping[str, CostPoint]) -> tuple[str, ...]:
    """The methods that no other dominates, the cheapest first."""
    front = [name for name in points if not dominating(points, name)]
    return tuple(sorted(front, key=lambda name: (points[name].cost, -points[name].accuracy)))


def dominating(points: Mapping[str, CostPoint], name: str) -> tuple[str, ...]:
    """The methods that are at least as accurate and as cheap, and better in one of both."""
    return tuple(other for other in points if points[other].dominates(points[name]))
