"""The part of a recipe that compares methods: their names and options, and the densities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from winnow.errors import repeated
from winnow.experiment.arms import ROUND_BY_ROUND
from winnow.experiment.recipe.values import Density, RecipePart, check_numbers

_TAKEN = ("dense", *(arm.name for arm in ROUND_BY_ROUND))  # by lines that are there anyway


class InitControls(RecipePart):
    """What methods at initialisation are checked against (Frankle et al. 2021, "Pruning Neural
    Networks at Initialization: Why are We Missing the Mark?", section 5).

    ``shuffled``: the mask permuted within each layer; ``reinit``: the mask, other initial weights;
    each a number of draws. ``inverted``: the weights of the smallest scores stay. They train as the
    method does, on the same order of data; of methods that prune trained networks, ``reinit``
    trains from its initial weights to the end, and nothing is ``inverted``.
    """

    shuffled: int = Field(0, ge=0, examples=[1])
    reinit: int = Field(0, ge=0, examples=[1])
    inverted: bool = False


INIT_CONTROLS = tuple(InitControls.model_fields)
"""The arm of a control is its method's, with one of these behind: ``grasp-shuffled``."""


class MethodSpec(RecipePart):
    """A method by name, with options where they are not the default: ``{name: set, drop: 0.2}``.

    ``name``: of the catalogue, or ``module:function`` for a criterion outside Winnow. ``label``:
    the name of its arm, for a method that stands twice with other options. ``controls``: its own
    ones in place of the comparison's; ``{}`` for none. Methods that prune trained networks have
    only those that stand here.
    """

    name: str = Field(examples=["grasp"])
    label: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        None, pattern=r"^[^\n\r\t]*$", examples=["grasp-10-rounds"]
    )
    controls: InitControls | None = Field(None, examples=[{"inverted": True}])
    options: dict[str, Any] = Field({}, examples=[{"temperature": 100.0}])

    @model_validator(mode="after")
    def _options_are_plain(self) -> MethodSpec:
        check_numbers(self.options, "")
        named = self.options.get("criterion", "")
        if not isinstance(named, str):
            raise ValueError(f"criterion is {repeated(named)}: write a name, e.g. magnitude")
        ignored = self.options.get("ignore", ())
        if not isinstance(ignored, str | list | tuple) or not all(
            isinstance(name, str) for name in ignored
        ):
            raise ValueError(f"ignore is {repeated(ignored)}: write names of layers, [output]")
        return self

    @property
    def arm_name(self) -> str:
        """The name of its line in tables and figures."""
        return self.label or self.name.rpartition(":")[2]


def _method(value: Any) -> Any:
    """``grasp`` is short for ``{name: grasp}``; keys that are no field of it are options."""
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, Mapping) or "options" in value:
        return value
    own = {key: inner for key, inner in value.items() if key in MethodSpec.model_fields}
    return own | {"options": {key: v for key, v in value.items() if key not in own}}


class Compare(RecipePart):
    """Methods side by side: each an arm with one point for each density and replicate.

    ``densities``: of all prunable weights. ``scope``: where scores compete, or how weights are
    shared out over layers, ``row``: over the outputs of each; dynamic methods have a
    ``distribution`` of their own. Criteria whose scores say nothing across layers (wanda,
    sparsegpt) take ``uniform`` in place of ``global``. ``controls``: of
    every method at initialisation but ``random``, which is one itself.
    """

    methods: Annotated[
        tuple[Annotated[MethodSpec, BeforeValidator(_method)], ...],
        Field(strict=False, min_length=1),
    ] = Field(examples=[["random", "snip", {"name": "set", "drop": 0.2}]])
    densities: Annotated[tuple[Density, ...], Field(strict=False, min_length=1)] = Field(
        (0.5, 0.2, 0.1, 0.05, 0.02), examples=[[0.5, 0.2]]
    )
    scope: Literal["global", "layer", "uniform", "er", "erk", "row"] = "global"
    controls: InitControls = InitControls()

    @model_validator(mode="after")
    def _each_once(self) -> Compare:
        for arm, times in Counter(method.arm_name for method in self.methods).items():
            if times > 1:
                raise ValueError(
                    f"{arm} stands twice in methods: give one a label, "
                    f"{{name: {arm}, label: {arm}-2, …}}"
                )
            if arm in _TAKEN:
                raise ValueError(f"the label {arm!r} is taken: choose another")
        if len(set(self.densities)) < len(self.densities):
            raise ValueError(f"a density stands twice in {repeated(list(self.densities))}")
        return self
