"""The part of a recipe that names the network and what its weights are at first."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from winnow.experiment.recipe.values import RecipePart, by_name


class Init(RecipePart):
    """The distribution of the initial weights; ``std`` is the standard deviation of ``normal``.

    ``kept``: the fraction of its inputs that a unit will keep, for the variance of kaiming's.
    """

    name: Literal[
        "glorot-normal",
        "glorot-uniform",
        "kaiming-normal",
        "kaiming-uniform",
        "normal",
        "signed-glorot",
        "signed-kaiming",
    ] = "glorot-normal"
    std: float | None = Field(None, gt=0, examples=[0.1])
    kept: float = Field(1.0, gt=0, le=1, examples=[0.5])

    @model_validator(mode="after")
    def _std_goes_with_normal(self) -> Init:
        if (self.name == "normal") != (self.std is not None):
            raise ValueError("std goes with normal, and only there: {name: normal, std: 0.1}")
        return self

    @model_validator(mode="after")
    def _kept_goes_with_kaiming(self) -> Init:
        if self.kept != 1 and "kaiming" not in self.name:
            raise ValueError("kept goes with kaiming: {name: signed-kaiming, kept: 0.5}")
        return self


class Model(RecipePart):
    """The network and its initialisation."""

    name: str = Field(examples=["lenet-300-100"])
    init: Annotated[Init, BeforeValidator(by_name)] = Init()
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)] | None = Field(
        None, examples=[[300, 100]]
    )
    width: float = Field(1.0, gt=0, examples=[2])
    dropout: float = Field(0.0, ge=0, lt=1, examples=[0.5])
