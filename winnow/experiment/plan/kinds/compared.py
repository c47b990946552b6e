"""A method of one recipe: the layers that it prunes and the counts that it keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from winnow.algorithms.catalogue import CatalogueEntry
from winnow.allocation import Keep, keep_for_density
from winnow.criteria import get_criterion, traits_of
from winnow.errors import UserError
from winnow.experiment.arms import Arm
from winnow.experiment.plan.setting import Setting
from winnow.experiment.recipe.compare import Compare, MethodSpec


@dataclass(frozen=True)
class ComparedMethod:
    """A method of one recipe, before its kind plans it.

    ``shapes``: of the layers that compete; ``protected``: how many weights the prunable layers have
    that it ignores. ``options``: those of the recipe, but ``ignore``.
    """

    spec: MethodSpec
    entry: CatalogueEntry
    arm: Arm
    setting: Setting
    shapes: Mapping[str, tuple[int, ...]]
    protected: int
    options: Mapping[str, Any]

    @property
    def compare(self) -> Compare:
        """What the recipe compares."""
        compare = self.setting.recipe.compare
        assert compare is not None
        return compare

    @property
    def densities(self) -> list[float]:
        """From the largest on, as they are pruned."""
        return sorted(self.compare.densities, reverse=True)

    @property
    def sizes(self) -> dict[str, int]:
        """Weights of each layer that competes."""
        return {name: math.prod(shape) for name, shape in self.shapes.items()}

    def share(self, density: float) -> float:
        """The density of what competes, where ``density`` is that of all prunable weights."""
        competing = sum(self.sizes.values())
        whole = competing + self.protected
        left = round(density * whole) - self.protected
        if left >= 1:
            return left / competing if self.protected else density
        raise UserError(
            f"{self.arm.name} at density {density:g} keeps {round(density * whole)} of {whole} "
            f"weights, and {self.protected} of them are in layers that it ignores: reachable are "
            f"{math.ceil(1e6 * (self.protected + 1) / whole) / 1e6:g} to 1. Ignore fewer layers, "
            "or leave that density out of compare.densities"
        )

    def keep(self, density: float) -> Keep:
        """How many weights stay, of all or of each layer."""
        return self.keep_of_share(self.share(density))

    def keep_of_share(self, share: float) -> Keep:
        """The same, where ``share`` is the density of what competes."""
        return keep_for_density(self.shapes, self.sizes, share, self.scope)

    @property
    def scope(self) -> str:
        """Where its scores compete: as the comparison says; where that is "global", and the
        criterion's scores are for one layer alone, each layer keeps the same share.
        """
        named = self.options.get("criterion")
        about = get_criterion(named) if isinstance(named, str) else self.entry.about
        alone = not isinstance(about, str) and traits_of(about).scope != "global"
        return "uniform" if alone and self.compare.scope == "global" else self.compare.scope

    @property
    def grain(self) -> str | None:
        """What its prunings record of where weights compete, beside counts: "row" or nothing."""
        return "row" if self.scope == "row" else None

    def without(self, *options: str) -> ComparedMethod:
        """The same, with fewer options: those that something else has taken over."""
        left = {name: value for name, value in self.options.items() if name not in options}
        return replace(self, options=left)

    def check_no_density(self) -> None:
        """UserError if the options have a density of their own."""
        if "density" in self.options:
            raise UserError(
                f"{self.arm.name}: densities stand in compare.densities, not in density"
            )
