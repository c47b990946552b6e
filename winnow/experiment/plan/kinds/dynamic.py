"""Dynamic sparse training and gradual pruning: masks that change while a network trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from winnow.algorithms.catalogue import CatalogueEntry, KindName
from winnow.algorithms.dynamic import DYNAMIC_METHODS, dynamic_defaults, make_dynamic
from winnow.algorithms.dynamic.method import DynamicMethod
from winnow.errors import UserError
from winnow.experiment.arms import Arm
from winnow.experiment.plan.kinds.compared import ComparedMethod
from winnow.experiment.plan.replicate import Node, Replicate
from winnow.experiment.recipe.train import Optimizer
from winnow.experiment.run_parts import RunDynamic
from winnow.experiment.runs import Run


@dataclass(frozen=True)
class DynamicKind:
    """One training, in which the mask changes."""

    name: KindName = "dynamic"
    panel: str = "Masks that change in training"
    cost: str = "one training"

    def options(self, entry: CatalogueEntry) -> dict[str, object]:
        """Those of the method; densities are the comparison's."""
        scope = {"scope": "compare.scope"} if DYNAMIC_METHODS[entry.name].scoped else {}
        return {**dynamic_defaults(entry.name), **scope, "ignore": []}

    def text(self, entry: CatalogueEntry) -> str:  # noqa: ARG002
        """Nothing: methods have all of their options themselves."""
        return ""

    def plan(self, method: ComparedMethod) -> PlannedDynamic:
        """The method, ready to be planned."""
        method.check_no_density()
        planned = PlannedDynamic(method)
        for density in method.compare.densities:
            planned.check(density)
        return planned


@dataclass(frozen=True)
class PlannedDynamic:
    """A dynamic method in a recipe."""

    method: ComparedMethod

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Its own arm."""
        return (self.method.arm,)

    def points(self, replicate: Replicate) -> Iterator[Node]:
        """A point for each density."""
        for index, density in enumerate(self.method.densities, 1):
            yield replicate.point(self.method.arm, index, self._run(replicate, density))

    def check(self, density: float) -> None:
        """UserError for what the method cannot do in this recipe."""
        made, setting, arm = self._made(density), self.method.setting, self.method.arm.name
        made.timing(setting.dense.steps, setting.per_epoch)
        if made.dense_slots:
            _check_dense_slots(arm, setting.recipe.train.optimizer, setting.recipe.engine)
        try:
            made.keeps(self.method.shapes)
        except UserError as error:
            raise UserError(f"{arm}: {error}") from None

    def _made(self, density: float) -> DynamicMethod:
        """The method with its options. UserError for options that it has not."""
        name, method = self.method.spec.name, self.method
        scope = {"scope": method.compare.scope} if DYNAMIC_METHODS[name].scoped else {}
        return make_dynamic(name, method.share(density), **{**scope, **method.options})

    def _run(self, replicate: Replicate, density: float) -> Run:
        made = self._made(density)
        dynamic = RunDynamic(
            name=self.method.spec.name,
            options=asdict(made),  # type: ignore[call-overload]
            prunable=tuple(self.method.shapes),
            keep=made.keeps(self.method.shapes),
            seed=replicate.mask_seed,
        )
        return replace(replicate.dense, dynamic=dynamic)


def _check_dense_slots(arm: str, optimizer: Optimizer, engine: str) -> None:
    """UserError where nothing remembers the gradients of removed weights."""
    if not optimizer.has_momentum:
        raise UserError(
            f"{arm} grows by momentum, and train.optimizer {optimizer.name} has none: take "
            "momentum, nesterov or adam, or leave it out of compare.methods"
        )
    if engine not in ("auto", "dense"):
        raise UserError(
            f"{arm} trains with dense gradients, which the engine {engine} does not: write "
            "engine: auto, or leave it out of compare.methods"
        )
