"""The part of a recipe that says what a paper states, as data that stored runs decide.

A claim is written before the runs and fixed with the recipe. `winnow.report.claims` judges it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_serializer, model_validator

from winnow.experiment.recipe.paper_number import PaperNumber
from winnow.experiment.recipe.sides import (
    Operand,
    Operands,
    Where,
    check_columns,
    of_an_analysis,
)
from winnow.experiment.recipe.values import RecipePart

INHERITED = ("line", "of", "compare", "measure", "at", "unit")
"""What parts of a claim take over from it, where they leave it out."""


def _bound(value: Any) -> Any:
    """``inf`` is the word for no bound; ``.inf``, the number in YAML, means the same."""
    words = {"inf": math.inf, "-inf": -math.inf}
    return words.get(value, value) if isinstance(value, str) else value


ExpectedEnd = Annotated[float, Field(allow_inf_nan=True), BeforeValidator(_bound)]


class ClaimPart(RecipePart):
    """One comparison, and where its result has to lie.

    ``of``: a number of rows (``final_test_accuracy``; ``accuracy_at_30000``, or ``accuracy_at``
    with ``at.step``), or ANALYSIS.FIELD. ``compare``: two sides, or one for its own value. ``as``:
    ``difference`` (first minus second), ``ratio`` (first over second), ``value``, or ``crossing``:
    the density where the first falls below the second, expected within a round of ``at.density``.
    ``expect``: from where to where, ``inf`` for no end. ``same``: instead, how far from equal at
    most. Both are in the column's unit; ``unit: points`` writes accuracies in percent and their
    differences in points. Of a ratio, ``same: 0.1`` is 1/1.1 to 1.1.
    """

    line: str | None = Field(None, examples=["warm-up"])
    of: str | None = Field(None, examples=["final_test_accuracy"])
    compare: Operands | None = Field(None, examples=[["ticket", "dense"]])
    measure: Literal["difference", "ratio", "value", "crossing"] | None = Field(
        None, alias="as", examples=["difference"]
    )
    at: Where | None = None
    expect: Annotated[tuple[ExpectedEnd, ExpectedEnd], Field(strict=False)] | None = Field(
        None, examples=[[0, "inf"]]
    )
    same: float | None = Field(None, gt=0, examples=[0.005])
    unit: Literal["column", "points"] | None = None

    @field_serializer("expect")
    def _plain(self, expect: tuple[float, float] | None) -> list[float | str] | None:
        if expect is None:
            return None
        return [end if math.isfinite(end) else str(end) for end in expect]

    @model_validator(mode="after")
    def _bounds(self) -> ClaimPart:
        if self.expect is not None:
            low, high = self.expect
            if math.isnan(low) or math.isnan(high) or low > high:
                raise ValueError(f"expect is [{low}, {high}]: write the smaller end first")
            if math.isinf(low) and math.isinf(high):
                raise ValueError(f"expect is [{low}, {high}], which nothing can contradict")
        return self

    @property
    def kind(self) -> str:
        """``measure``; left out, it follows from the number of sides."""
        return self.measure or ("value" if len(self.compare or ()) == 1 else "difference")

    def sides(self) -> tuple[Operand, ...]:
        """What is compared, each side whole: what it leaves out, it takes from the part."""
        own = {name: getattr(self, name) for name in ("line", "of", "at")}
        return tuple(
            side.model_copy(update={n: v for n, v in own.items() if getattr(side, n) is None})
            for side in self.compare or ()
        )

    def complete(self) -> None:
        """Raises ValueError unless it can be judged."""
        if self.compare is None:
            raise ValueError("compare is missing: a claim compares sides of a column")
        _check_sides(self.kind, self.compare)
        check_columns(self.sides())
        _check_place(self)
        _check_region(self)


def _check_sides(kind: str, sides: Sequence[Operand]) -> None:
    needed = 1 if kind == "value" else 2
    if len(sides) != needed:
        words = {1: "one side", 2: "two sides"}
        raise ValueError(f"as: {kind} takes {words[needed]}, and compare has {words[len(sides)]}")


def _check_place(part: ClaimPart) -> None:
    sides, where = part.sides(), part.at
    sparse = [side for side in sides if not side.is_dense]
    density = where is not None and where.names_density
    for written in part.compare or ():
        if written.at is not None and written.at.names_density:
            if written.is_dense:
                raise ValueError("dense has every weight: leave out the density of its at")
            if part.kind == "crossing":
                raise ValueError("as: crossing looks at every density: leave out at of its sides")
    for side in sparse:
        if not side.has_density and not of_an_analysis(side.of or ""):
            raise ValueError("at is missing: say at which density, e.g. at: {density: 21}")
    if density and not sparse:
        raise ValueError("at names a density, and both sides are dense: leave it out")
    own = [side.is_dense or side.has_density for side in part.compare or ()]
    if density and all(own) and sparse:
        raise ValueError("every side has an at of its own: leave out the claim's")
    if len({side.has_density for side in sparse}) > 1:
        raise ValueError("one side has a density and the other none: say it for both")
    if part.kind == "crossing" and (where is None or where.density is None):
        raise ValueError("as: crossing takes the stated density, e.g. at: {density: 3.6}")


def _check_region(part: ClaimPart) -> None:
    given = [name for name in ("expect", "same") if getattr(part, name) is not None]
    if part.kind == "crossing":
        if given:
            raise ValueError(f"{given[0]} goes with no crossing: it is one round around at.density")
    elif len(given) != 1:
        raise ValueError("write either expect: [0, inf] or same: 0.005")
    if part.same is not None and part.kind == "value":
        raise ValueError("same compares two sides: of a value, write expect: [0.89, 0.91]")
    if part.kind == "ratio" and part.expect is not None and part.expect[0] < 0:
        raise ValueError(f"expect begins at {part.expect[0]}: a ratio is never below 0")
    if part.unit == "points":
        if part.kind in ("ratio", "crossing"):
            raise ValueError(f"unit: points goes with differences and values, not with {part.kind}")
        for side in part.sides():
            if "accuracy" not in (side.of or ""):
                raise ValueError(f"unit: points is for accuracies, and of is {side.of}")


class Claim(ClaimPart):
    """What a paper states, in our words, and what stored runs must show for it.

    ``id``: unique in all recipes. ``place``: where the paper says so. ``paper``: whose it is, where
    the recipe's folder does not tell. A claim is one comparison, with the keys of ``claims.all``
    below, or has ``all`` or ``any`` of several; what these leave out, they take from the claim.
    ``decidable``: on a CPU machine (``here``), on a ``gpu``, or not
    without data that are not here (``no-data``). ``status: paper inconsistent``, with its
    ``reason``, for what rests on a misprint.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", examples=["vgg-warm-up-wins"])
    says: str = Field(min_length=1, examples=["tickets exceed the dense accuracy down to 1.5 %"])
    place: str = Field("", examples=["section 4"])
    paper: str = Field("", examples=["LTH"])
    number: PaperNumber | None = None
    decidable: Literal["here", "gpu", "no-data"] = "here"
    status: Literal["paper inconsistent"] | None = None
    reason: str = Field("", examples=["figure 2 prints 1.7 M weights, its network has 2.26 M"])
    all: Annotated[tuple[ClaimPart, ...], Field(strict=False)] = ()
    any: Annotated[tuple[ClaimPart, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _can_be_judged(self) -> Claim:
        if (self.status is None) != (not self.reason):
            raise ValueError(f"{self.id}: status: paper inconsistent goes with its reason")
        if self.all and self.any:
            raise ValueError(f"{self.id}: all and any stand together: write one of them")
        if (self.all or self.any) and (self.expect is not None or self.same is not None):
            raise ValueError(f"{self.id}: expect and same stand in the parts of all and any")
        if self.status is None:
            try:
                for part in self.parts():
                    part.complete()
                self._check_number()
            except ValueError as error:
                raise ValueError(f"{self.id}: {error}") from None
        return self

    def parts(self) -> tuple[ClaimPart, ...]:
        """Its comparisons, whole: those of ``all`` or ``any``, or itself."""
        listed = self.all or self.any
        own = {name: getattr(self, name) for name in INHERITED}
        if not listed:
            return (ClaimPart(**own, expect=self.expect, same=self.same),)
        return tuple(
            part.model_copy(update={n: v for n, v in own.items() if getattr(part, n) is None})
            for part in listed
        )

    def _check_number(self) -> None:
        if self.number is None:
            return
        only = self.parts()[0]
        several = self.all or self.any or (only.at is not None and not only.at.is_one_round)
        if several or only.kind == "crossing":
            raise ValueError("number goes with one comparison at one density, and no crossing")
        if only.kind == "ratio" and self.number.mean <= 0:
            raise ValueError(f"number.mean is {self.number.mean}: a ratio is above 0")

    def dump(self) -> dict[str, Any]:
        """Plain values that load to an equal one, without what is not written."""
        plain: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {key: value for key, value in plain.items() if value not in ("", [], {})}


def unique_ids(claims: Sequence[Claim]) -> None:
    """Raises ValueError, naming it, for an id that stands twice."""
    ids = [claim.id for claim in claims]
    for one in ids:
        if ids.count(one) > 1:
            raise ValueError(f"the claim {one!r} stands twice: ids are unique")


def claims_in(recipe: Mapping[str, Any]) -> tuple[Claim, ...]:
    """The claims of a recipe as dumped. Raises pydantic's ValidationError (a ValueError)."""
    return tuple(Claim.model_validate(one) for one in recipe.get("claims", ()))
