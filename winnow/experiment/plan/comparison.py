"""The arms of an experiment with ``compare``: methods side by side at the same densities.

Counts are those of the recipe's densities over all prunable weights for every method, so that
equal densities are equal numbers of weights.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from winnow.algorithms.catalogue import find_method
from winnow.errors import UserError, repeated
from winnow.experiment.arms import TICKET, Arm
from winnow.experiment.plan.kinds import METHOD_KINDS
from winnow.experiment.plan.kinds.compared import ComparedMethod
from winnow.experiment.plan.kinds.kind import PlannedMethod
from winnow.experiment.plan.replicate import Node, Replicate
from winnow.experiment.plan.rounds import restart_of_prune
from winnow.experiment.plan.setting import Setting, layers_named
from winnow.experiment.recipe.compare import Compare, InitControls, MethodSpec


@dataclass(frozen=True)
class Comparison:
    """The methods of a recipe, planned, in its order."""

    methods: tuple[PlannedMethod, ...]

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The dense network, as round 0 of a ticket, then each method's arms."""
        return (TICKET, *(arm for method in self.methods for arm in method.arms))

    @property
    def in_turn(self) -> tuple[Arm, ...]:
        """The same: methods train in the recipe's order."""
        return self.arms

    def points(self, replicate: Replicate) -> Iterator[Node]:
        """The dense network of a replicate, then every method at every density."""
        yield replicate.point(TICKET, 0, replicate.dense)
        for method in self.methods:
            yield from method.points(replicate)


def comparison_of(setting: Setting, compare: Compare) -> Comparison:
    """The comparison of a recipe. UserError for all that a method cannot do in it."""
    restart_of_prune(setting)  # what it says must make sense, even if no method goes by it
    methods = tuple(_planned(setting, spec) for spec in compare.methods)
    _check_controls(compare, methods)
    _check_names([arm.name for method in methods for arm in method.arms])
    return Comparison(methods)


def _planned(setting: Setting, spec: MethodSpec) -> PlannedMethod:
    """A method of the recipe. UserError for an option that it does not take as it is written."""
    try:
        return _planned_as_written(setting, spec)
    except UserError:
        raise
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UserError(
            f"{spec.arm_name}: an option has a value of the wrong kind ({error}): they are "
            f"{repeated(dict(spec.options))}; `winnow methods {spec.name}` lists what it takes"
        ) from None


def _planned_as_written(setting: Setting, spec: MethodSpec) -> PlannedMethod:
    entry, shapes, name = find_method(spec.name), setting.layers.shapes, spec.arm_name
    kind = METHOD_KINDS[entry.kind]
    options = dict(spec.options)
    ignored = layers_named(setting.recipe, options.pop("ignore", ()), f"ignore of {name}")
    own = {layer: shape for layer, shape in shapes.items() if layer not in ignored}
    protected = sum(math.prod(shapes[layer]) for layer in shapes if layer in ignored)
    arm = Arm(name, entry.kind, method=spec.name, panel=kind.panel, bound=entry.bound)
    return kind.plan(ComparedMethod(spec, entry, arm, setting, own, protected, options))


def _check_controls(compare: Compare, methods: Sequence[PlannedMethod]) -> None:
    """UserError for controls that no method has."""
    have = [any(arm.is_control for arm in method.arms) for method in methods]
    for spec, has in zip(compare.methods, have, strict=True):
        if not has and spec.controls not in (None, InitControls()):
            raise UserError(
                f"controls of {spec.arm_name}: shuffled and reinit check methods that prune once "
                "or in rounds, and its mask is learned: leave them out there"
            )
    early = [method.arms[0].kind == "at initialisation" for method in methods]
    if compare.controls != InitControls() and not any(map(all, zip(have, early, strict=True))):
        raise UserError(
            "compare.controls are those of methods at initialisation, and none has any here: add "
            "one, e.g. snip, or leave controls out"
        )


def _check_names(names: Sequence[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise UserError(
                f"{name} is a method's label, and an arm that another method has too: choose "
                "another label"
            )
