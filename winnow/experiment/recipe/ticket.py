"""The part of a recipe that gives it a ticket that was found elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from winnow.experiment.recipe.values import RecipePart


class GivenTicket(RecipePart):
    """A found mask, trained with the recipe's data, optimizer, head and length (Frankle & Carbin
    2019, section 6: transfer; Lévai & Zombori 2020, section 1).

    ``file``: a ticket file (for random masks as controls one that has removed weights, too), or the
    folder of a stored run. ``weights``: what it is trained from:
    ``rewound`` (those that it was trained from), ``final`` (those after that training) or ``new``
    (the initialisation of the replicate). ``skip``: layers that are not taken from it and stay
    dense (names, globs, or the words ``output``, ``first``, …): a head for other classes.
    """

    file: str = Field(examples=["ticket.safetensors"])
    weights: Literal["rewound", "final", "new"] = "rewound"
    skip: Annotated[tuple[str, ...], Field(strict=False)] = Field((), examples=[["output"]])
