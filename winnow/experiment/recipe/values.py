"""What all parts of a recipe are made of: frozen values that refuse what they do not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from winnow.amounts import checked_steps
from winnow.errors import repeated

Density = Annotated[float, Field(gt=0, le=1, examples=[0.05])]
DensityList = Annotated[
    tuple[Density, ...],
    Field(strict=False, min_length=1),
    AfterValidator(lambda written: each_once(written)),
]
Steps = Annotated[str, BeforeValidator(checked_steps), Field(examples=["500it", "5ep"])]
Rate = Annotated[float, Field(ge=0, lt=1, examples=[0.2])]  # of what survives, removed
Seed = Annotated[
    Literal["replicate"] | Annotated[int, Field(ge=0, lt=2**63)], Field(examples=["replicate"])
]
Count = Annotated[int, Field(ge=0, lt=2**63, examples=[3])]
LineName = Annotated[str, Field(min_length=1, pattern=r"^[^\n\r\t]+$", examples=["warm-up"])]


class RecipePart(BaseModel):
    """A frozen value that refuses unknown keys and wrong types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False
    )


_LARGEST = 2.0**63

_T = TypeVar("_T", bound=tuple[Any, ...])


def each_once(written: _T) -> _T:
    """The values. ValueError for one that stands twice."""
    if len(set(written)) < len(written):
        raise ValueError(f"is {repeated(list(written))}: a value stands twice; write each once")
    return written


def check_numbers(value: Any, place: str) -> None:
    """ValueError for a number in plain values that is not finite, or larger than 64 bits hold."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            check_numbers(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            check_numbers(inner, place)
    elif isinstance(value, int | float) and not abs(value) < _LARGEST:
        raise ValueError(f"{place} is {repeated(value)}: write a number below {_LARGEST:.2g}")


def by_name(value: Any) -> Any:
    """``adam`` is short for ``{name: adam}``."""
    return {"name": value} if isinstance(value, str) else value
