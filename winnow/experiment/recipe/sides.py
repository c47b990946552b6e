"""The sides of a claim and where they are looked at: which arm, line, column and rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from winnow.experiment.arms import DENSE
from winnow.experiment.recipe.values import RecipePart

Percent = Annotated[float, Field(gt=0, le=100, examples=[21])]
ITERATIONS_TO = "iterations_to_"
"""Begins a column: ``iterations_to_97.5``, until the validation accuracy first reaches 97.5 %."""


class Where(RecipePart):
    """The rounds that a claim is about, densities in percent.

    ``density``: the round nearest to it. ``down_to``: every sparse round from the first down to
    that. ``between``: every round from the first density down to the second. ``of``: all weights
    (the P_m of Frankle & Carbin) or the prunable ones. ``step``: of a column that is measured at
    several, which one, as iterations.
    """

    density: Percent | None = None
    down_to: Percent | None = None
    between: Annotated[tuple[Percent, Percent], Field(strict=False)] | None = Field(
        None, examples=[[67.5, 17.6]]
    )
    of: Literal["total", "prunable"] = "total"
    step: int | None = Field(None, ge=0, examples=[500])

    @model_validator(mode="after")
    def _one_way(self) -> Where:
        ways = [w for w in ("density", "down_to", "between") if getattr(self, w) is not None]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} stand together: write one of them")
        if not ways and self.step is None:
            raise ValueError("nothing is said: write density, down_to, between or step")
        if self.between is not None and self.between[0] <= self.between[1]:
            raise ValueError(f"between is {list(self.between)}: write the larger density first")
        return self

    @property
    def is_one_round(self) -> bool:
        """Whether it names at most one round."""
        return self.down_to is None and self.between is None

    @property
    def names_density(self) -> bool:
        """Whether it names a round at all, and not only a step."""
        return self.density is not None or not self.is_one_round


class Operand(RecipePart):
    """A side of a claim: an arm, or ``dense``; with what of it is not the claim's own.

    ``line``: another line, ``{arm: ticket, line: low}``. ``of``: another column, for two columns of
    one arm. ``at``: another density or step, for two sizes of one arm; one round.
    """

    arm: str = Field(examples=["ticket"])
    line: str | None = Field(None, examples=["warm-up"])
    of: str | None = Field(None, examples=["movement_by_mask.kept_absolute"])
    at: Where | None = None

    @model_validator(mode="after")
    def _one_round(self) -> Operand:
        if self.at is not None and not self.at.is_one_round:
            raise ValueError("a side's own at is one density: rounds stand in the claim's at")
        return self

    @property
    def is_dense(self) -> bool:
        """Whether it is the network without a mask."""
        return self.arm == DENSE

    @property
    def has_density(self) -> bool:
        """Whether a density is named for it."""
        return self.at is not None and self.at.names_density

    def __str__(self) -> str:
        return f"{self.arm} ({self.line})" if self.line else self.arm


def written_operand(value: Any) -> Any:
    """``ticket`` is short for ``{arm: ticket}``."""
    return {"arm": value} if isinstance(value, str) else value


Operands = Annotated[
    tuple[Annotated[Operand, BeforeValidator(written_operand)], ...],
    Field(strict=False, min_length=1, max_length=2),
]


def check_columns(sides: Sequence[Operand]) -> None:
    """Raises ValueError for a side without a column, for a side beside itself, and for columns that
    no difference and no ratio can be of.
    """
    for side in sides:
        if side.of is None:
            raise ValueError("of is missing: a claim compares sides of a column")
    if len(sides) == 2 and sides[0] == sides[1]:
        raise ValueError(
            f"both sides are {sides[0].of} of {sides[0]}: give one another arm, line, of or at"
        )
    columns = [side.of or "" for side in sides]
    kinds = {_measured(column) for column in columns}
    if len(kinds) > 1:
        raise ValueError(
            f"{' and '.join(columns)} are numbers of two kinds: compare two accuracies, two "
            "losses, two numbers of iterations or two fields of analyses"
        )


def of_an_analysis(column: str) -> bool:
    """Whether a column is ANALYSIS.FIELD and not one of rows."""
    return "." in column and not column.startswith(ITERATIONS_TO)


def counts_iterations(column: str) -> bool:
    """Whether a column says after how many iterations something happens, in a run that may end
    before it does.
    """
    return column == "stop_iteration" or column.startswith(ITERATIONS_TO)


def _measured(column: str) -> str:
    """What a column is a number of; itself where no other column is like it."""
    if of_an_analysis(column):
        return "analysis"
    return next((word for word in ("accuracy", "loss", "iteration") if word in column), column)
