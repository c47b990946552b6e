"""Analyses that a recipe names: which function, of which arms, of single runs or of pairs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from winnow.errors import repeated
from winnow.experiment.recipe.values import RecipePart, Steps

_LARGEST = 1_000_000  # of an option of an analysis: bins, examples, steps

_Names = Annotated[tuple[str, ...], Field(strict=False)]


class AnalysisSpec(RecipePart):
    """One analysis. Views and claims read its numbers as LABEL.FIELD.

    ``name``: of the function (docs/analyses.md). ``label``: its own name, where a function stands
    twice. ``arms``: whose runs are analysed, all where it is empty; ``dense`` is the network
    without a mask. ``densities``: in percent of all weights, the rounds nearest to them; all where
    it is empty. ``at``: the state that is looked at: the end (``final``), where training begins
    (``start``), or after so many iterations. Of pairs of runs: ``against``: each run beside that of
    another arm with the same replicate and round (``dense``: of the replicate), which is looked at
    ``against_at``; ``pairs``: every two runs of the arms in one replicate and round, draws included
    (``true``), or every two of the same arm (``arm``). ``split``, ``examples``: the images that a
    function sees that needs any.
    """

    name: str = Field(examples=["layer_densities"])
    label: str | None = Field(None, examples=["overlap-with-dense"])
    arms: _Names = Field((), examples=[["ticket", "random"]])
    densities: Annotated[tuple[Annotated[float, Field(gt=0, le=100)], ...], Field(strict=False)] = (
        Field((), examples=[[21.1]])
    )
    at: Literal["final", "start"] | Steps = Field("final", examples=["final", "start", "500it"])
    against: str | None = Field(None, examples=["dense"])
    against_at: Literal["final", "start"] | Steps | None = Field(None, examples=["start"])
    pairs: bool | Literal["arm"] = Field(False, examples=[True, "arm"])
    split: Literal["train", "validation", "test"] = "train"
    examples: int | None = Field(None, ge=1, examples=[1000])
    options: dict[str, Any] = Field({}, examples=[{"points": 11}])

    @property
    def key(self) -> str:
        """Its name in views, claims and files."""
        return self.label or self.name

    @model_validator(mode="after")
    def _pairs_one_way(self) -> AnalysisSpec:
        if self.pairs and self.against is not None:
            raise ValueError("write pairs: true or against: ARM, not both")
        if self.against_at is not None and self.against is None:
            raise ValueError("against_at goes with against: ARM")
        for name, value in self.options.items():
            if isinstance(value, int | float) and not abs(value) <= _LARGEST:
                raise ValueError(f"{name} is {repeated(value)}: write {_LARGEST:,} at most")
        if "." in self.key:
            raise ValueError(f"the label {self.key!r} has a dot, which parts it from its fields")
        return self
