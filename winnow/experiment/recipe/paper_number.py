"""The part of a claim that holds the number a paper prints, with the spread that it prints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from winnow.experiment.recipe.values import RecipePart

LARGEST_RANGE = 10
"""Of how many runs a printed range can be read at most."""


class PaperNumber(RecipePart):
    """A number that the paper prints, in the unit of its claim.

    ``spread``: as printed, the two ends, or what stands behind ±. ``kind``: what it is, the
    ``range`` from the lowest to the highest run, the standard deviation (``sd``), or the standard
    error (``se``). ``n``: over how many runs. Without a spread ours is taken for the paper's.
    """

    mean: float = Field(examples=[88.61])
    spread: (
        Annotated[float, Field(gt=0)] | Annotated[tuple[float, float], Field(strict=False)] | None
    ) = Field(None, examples=[0.6, [20.1, 21.3]])
    kind: Literal["range", "sd", "se"] | None = Field(None, examples=["range"])
    n: int = Field(ge=1, examples=[5])

    @model_validator(mode="after")
    def _whole(self) -> PaperNumber:
        if (self.spread is None) != (self.kind is None):
            raise ValueError("spread and kind go together: {spread: 0.6, kind: sd}")
        if isinstance(self.spread, tuple) and self.spread[0] >= self.spread[1]:
            raise ValueError(f"spread is {list(self.spread)}: write the smaller end first")
        if self.kind == "range" and not 2 <= self.n <= LARGEST_RANGE:
            raise ValueError(f"a range is read of 2 to {LARGEST_RANGE} runs, and n is {self.n}")
        return self

    @property
    def half_spread(self) -> float | None:
        """What stands behind ±: half the distance between two ends."""
        if isinstance(self.spread, tuple):
            return (self.spread[1] - self.spread[0]) / 2
        return self.spread
