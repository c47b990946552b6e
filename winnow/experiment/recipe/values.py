"""What all parts of a recipe are: frozen values that refuse what they do not know."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Density = Annotated[float, Field(gt=0, le=1, examples=[0.05])]


class Value(BaseModel):
    """A frozen value that refuses unknown keys and wrong types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False
    )
