"""Labels of units: numbers that are joined where units turn out to be one, and fixed where they
may not go.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Labels:
    """A union-find over units: ``new`` ones, ``join`` of two rows of them, ``fix`` of some."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._is_fixed: list[bool] = []

    def new(self, count: int, fixed: bool = False) -> Tensor:
        """The labels of ``count`` units that were not seen before."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        self._is_fixed.extend([fixed] * count)
        return torch.arange(first, first + count)

    def join(self, left: Tensor, right: Tensor) -> None:
        """The units of both rows are the same, place by place. Fixed ones fix what they join."""
        for a, b in zip(left.tolist(), right.tolist(), strict=True):
            one, other = sorted((self._root(a), self._root(b)))
            self._parent[other] = one
            self._is_fixed[one] |= self._is_fixed[other]

    def fix(self, labels: Tensor) -> None:
        """These units always stay."""
        for label in labels.tolist():
            self._is_fixed[self._root(label)] = True

    def numbers(self) -> tuple[Tensor, int]:
        """By label: the number of its unit, from 0 in the order of their first labels; how many."""
        roots = [self._root(label) for label in range(len(self._parent))]
        order = {root: number for number, root in enumerate(sorted(set(roots)))}
        return torch.tensor([order[root] for root in roots], dtype=torch.long), len(order)

    def free(self) -> list[bool]:
        """By number of the unit: whether it may go."""
        roots = sorted({self._root(label) for label in range(len(self._parent))})
        return [not self._is_fixed[root] for root in roots]

    def _root(self, label: int) -> int:
        while self._parent[label] != label:
            self._parent[label] = self._parent[self._parent[label]]
            label = self._parent[label]
        return label
