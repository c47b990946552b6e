"""What all parts of a recipe are made of: frozen values that refuse what they do not know."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from winnow.amounts import checked_steps

Density = Annotated[float, Field(gt=0, le=1, examples=[0.05])]
DensityList = Annotated[tuple[Density, ...], Field(strict=False)]
Steps = Annotated[str, BeforeValidator(checked_steps), Field(examples=["500it", "5ep"])]
Rate = Annotated[float, Field(ge=0, lt=1, examples=[0.2])]  # of what survives, removed
Seed = Annotated[Literal["replicate"] | Annotated[int, Field(ge=0)], Field(examples=["replicate"])]
Count = Annotated[int, Field(ge=0, examples=[3])]
LineName = Annotated[str, Field(min_length=1, pattern=r"^[^\n\r\t]+$", examples=["warm-up"])]


class RecipePart(BaseModel):
    """A frozen value that refuses unknown keys and wrong types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False
    )


def by_name(value: Any) -> Any:
    """``adam`` is short for ``{name: adam}``."""
    return {"name": value} if isinstance(value, str) else value
