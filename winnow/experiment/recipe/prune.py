"""The part of a recipe that says how tickets are found, and what they are compared with."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from winnow.experiment.recipe.values import (
    Count,
    Density,
    DensityList,
    Rate,
    RecipePart,
    Steps,
    check_numbers,
    each_once,
)

USUAL_CRITERION = "magnitude"
"""What scores trained weights where nothing else is said. Frankle & Carbin 2019."""


class Prune(RecipePart):
    """How tickets are found.

    ``train``: how long networks train before they are pruned, where not to the end; ``fine_tune``:
    and afterwards (``0it``: not at all), with rewind ``none`` or ``lr``; ``optimizer``: starts
    afresh, or is rewound to what it was at the step that the weights are rewound to.
    ``least``: weights that each layer keeps at least. ``structure``: ``unit`` prunes whole neurons
    and channels, with all weights that write and read them, ``channel`` channels alone; each set of
    units that go together keeps its share (see `winnow.structure`).
    ``rates``: layers that are pruned at a rate of their own (names, globs, or the words ``conv``,
    ``linear``, ``output``, ``first``). ``ignore``: layers that are never pruned.
    """

    algorithm: Literal["imp", "one-shot"] = "imp"
    criterion: str = USUAL_CRITERION
    options: dict[str, Any] = Field({})
    scope: Literal["layer", "global"] = "layer"
    rate: Rate = 0.2
    rates: dict[str, Rate] = Field({}, examples=[{"output": 0.1}])
    rounds: int = Field(15, ge=0, examples=[15])
    rewind: Literal["init", "none", "lr"] | Steps = Field("init", examples=["init", "500it"])
    train: Steps | None = Field(None, examples=["500it"])
    fine_tune: Steps | None = Field(None, examples=["500it"])
    optimizer: Literal["fresh", "rewound"] = "fresh"
    least: int = Field(0, ge=0, examples=[1])
    structure: Literal["none", "unit", "channel"] = Field("none", examples=["unit"])
    ignore: Annotated[tuple[str, ...], Field(strict=False)] = Field((), examples=[["output"]])
    densities: DensityList | Literal["paper", "rounds"] = Field(
        "rounds", examples=["paper", "rounds", [0.5, 0.2]]
    )

    @model_validator(mode="after")
    def _options_are_finite(self) -> Prune:
        check_numbers(self.options, "options")
        return self

    @model_validator(mode="after")
    def _scope_and_rates(self) -> Prune:
        if self.scope == "global" and self.rates:
            raise ValueError("rates of single layers go with scope: layer (global has one rate)")
        if self.rate == 0 and not self.rates:
            raise ValueError("rate 0 removes nothing: choose one above 0, e.g. 0.2")
        if self.rates and not any([self.rate, *self.rates.values()]):
            raise ValueError("rate and all rates are 0, which removes nothing: choose one above 0")
        return self

    @model_validator(mode="after")
    def _whole_units(self) -> Prune:
        if self.structure == "none":
            return self
        written = {
            "algorithm: one-shot": self.is_one_shot,
            "scope: global": self.scope == "global",
            "rates": bool(self.rates),
            "ignore": bool(self.ignore),
            "least": bool(self.least),
        }
        if given := [name for name, there in written.items() if there]:
            raise ValueError(
                f"structure: {self.structure} goes with algorithm imp and scope layer: every set "
                f"of units loses the same rate, and keeps one. Leave out {', '.join(given)}"
            )
        return self

    @property
    def is_one_shot(self) -> bool:
        """Whether the dense network is pruned once to each density, not round by round."""
        return self.algorithm == "one-shot"


class Controls(RecipePart):
    """What tickets are compared with, each a number of draws for each ticket and replicate.

    ``reinit``: the mask, other initial weights. ``random``: a mask of the same layer densities,
    the ticket's weights. ``random-reinit``: both. ``one-shot``: pruned once, from the dense
    network, on the densities named (``paper``: figure 4c's grid; ``rounds``: the ticket's own).
    ``order``: the ticket, its data in another order; ``random-order``: the first random network,
    its data in these orders; both at every density, or at the rounds nearest to those of
    ``order-densities``, as each is trained several times. ``reinit-masked``: the mask, each layer's
    weights drawn with replacement from the ticket's own; ``permuted``: these in another order.
    ``noise``: levels of Gaussian noise added to the ticket's weights, one draw each, in standard
    deviations of the layer's initial weights. ``at-init``: a mask of the largest initial weights at
    the ticket's density. All but those of other orders share the ticket's data order.
    """

    reinit: Count = 0
    random: Count = 0
    random_reinit: Count = Field(0, alias="random-reinit")
    one_shot: Literal["none", "paper", "rounds"] | DensityList = Field(
        "none", alias="one-shot", examples=["paper", "rounds", [0.5, 0.2]]
    )
    one_shot_reinit: Count = Field(0, alias="one-shot-reinit")
    order: Count = 0
    random_order: Count = Field(0, alias="random-order")
    order_densities: Annotated[
        tuple[Density, ...], Field(strict=False), AfterValidator(each_once)
    ] = Field((), alias="order-densities", examples=[[0.168]])
    reinit_masked: Count = Field(0, alias="reinit-masked")
    permuted: Count = 0
    noise: Annotated[tuple[Annotated[float, Field(ge=0, le=1e6)], ...], Field(strict=False)] = (
        Field((), examples=[[0.5, 1, 2, 3]])
    )
    at_init: bool = Field(False, alias="at-init")

    @model_validator(mode="after")
    def _levels_differ(self) -> Controls:
        if len(set(self.noise)) < len(self.noise):
            raise ValueError("noise names a level twice: write each once, e.g. [0.5, 1, 2, 3]")
        return self

    @model_validator(mode="after")
    def _of_something(self) -> Controls:
        if self.one_shot_reinit and self.one_shot == "none":
            raise ValueError("one-shot-reinit goes with one-shot: one-shot: rounds")
        if self.order_densities and not (self.order or self.random_order):
            raise ValueError("order-densities goes with order or random-order: order: 2")
        return self
