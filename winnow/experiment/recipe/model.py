"""The part of a recipe that names the network and what its weights are at first."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from winnow.experiment.recipe.values import RecipePart, by_name


class Init(RecipePart):
    """The distribution of the initial weights; ``std`` is the standard deviation of ``normal``.

    ``kept``: the fraction of its inputs that a unit will keep, for the variance of kaiming's.
    ``head``: the output layer's own standard deviation, of a normal distribution
    (``{name: kaiming-fan-out, head: 0.01}`` as in the code of GraSP).
    """

    name: Literal[
        "glorot-normal",
        "glorot-uniform",
        "kaiming-normal",
        "kaiming-uniform",
        "kaiming-fan-out",
        "normal",
        "signed-glorot",
        "signed-kaiming",
    ] = "glorot-normal"
    std: float | None = Field(None, gt=0, examples=[0.1])
    kept: float = Field(1.0, gt=0, le=1, examples=[0.5])
    head: float | None = Field(None, gt=0, examples=[0.01])

    @model_validator(mode="after")
    def _std_goes_with_normal(self) -> Init:
        if (self.name == "normal") != (self.std is not None):
            raise ValueError("std goes with normal, and only there: {name: normal, std: 0.1}")
        return self

    @model_validator(mode="after")
    def _kept_goes_with_kaiming(self) -> Init:
        if self.kept != 1 and not self.counts_fan_in:
            raise ValueError(
                "kept goes with kaiming and its fan in: {name: signed-kaiming, kept: 0.5}"
            )
        return self

    @property
    def counts_fan_in(self) -> bool:
        """Whether the variance goes by the fan in alone, of which ``kept`` is a part."""
        return "kaiming" in self.name and self.name != "kaiming-fan-out"


class Model(RecipePart):
    """The network and its initialisation.

    ``norm_init``: the weights of batch normalisation start at 1, or are drawn from U(0, 1).
    ``conv_bias``: VGG's convolutions have biases; both as in openLTH. ``shortcut``: where the shape
    changes in a ResNet, a 1x1 convolution, or zeros (lottery jackpots).
    """

    name: str = Field(examples=["lenet-300-100"])
    init: Annotated[Init, BeforeValidator(by_name)] = Init()
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)] | None = Field(
        None, examples=[[300, 100]]
    )
    width: float = Field(1.0, gt=0, examples=[2])
    dropout: float = Field(0.0, ge=0, lt=1, examples=[0.5])
    norm_init: Literal["ones", "uniform"] = "ones"
    conv_bias: bool = False
    shortcut: Literal["projection", "padded"] = "projection"
