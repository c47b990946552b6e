"""A method of one recipe, checked, with the layers that it prunes and the counts that it keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from winnow.algorithms import catalogue
from winnow.allocation import Keep, keep_for_density
from winnow.errors import UserError
from winnow.experiment.plan.restart import Restart
from winnow.experiment.recipe.compare import Compare, Method


@dataclass(frozen=True)
class Compared:
    """A method of one recipe, checked: what it prunes, its kind, and its options but ``ignore``.

    ``weights``: the hash of pre-trained weights, where the recipe names a file of them.
    """

    method: Method
    entry: catalogue.Entry
    shapes: Mapping[str, tuple[int, ...]]
    options: Mapping[str, Any]
    protected: int
    compare: Compare
    restart: Restart | None = None
    least: int = 0
    weights: str | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Weights of each layer that competes."""
        return {name: math.prod(shape) for name, shape in self.shapes.items()}

    def share(self, density: float) -> float:
        """The density of what competes, where ``density`` is that of all prunable weights."""
        competing = sum(self.sizes.values())
        left = round(density * (competing + self.protected)) - self.protected
        if left >= 1:
            return left / competing if self.protected else density
        whole = competing + self.protected
        raise UserError(
            f"{self.method.arm} at density {density:g} keeps {round(density * whole)} of {whole} "
            f"weights, and {self.protected} of them are in layers that it ignores: reachable are "
            f"{math.ceil(1e6 * (self.protected + 1) / whole) / 1e6:g} to 1. Ignore fewer layers, "
            "or leave that density out of compare.densities"
        )

    def keep(self, density: float) -> Keep:
        """How many weights stay, of all or of each layer."""
        return keep_for_density(self.shapes, self.sizes, self.share(density), self.compare.scope)
