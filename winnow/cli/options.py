"""Arguments and options that several commands share, and how their texts are read."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated

import typer

from winnow.errors import repeated


def whole_number(text: str | int) -> int:
    """The whole number that a text is. Raises BadParameter."""
    written = str(text)
    if re.fullmatch(r"[+-]?[0-9]{1,18}", written):
        return int(written)
    raise typer.BadParameter(f"{repeated(text)} is no whole number, e.g. 2")


def duration(text: str | float) -> float:
    """The seconds that a text is, 0 or more. Raises BadParameter."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if seconds >= 0:
        return seconds
    raise typer.BadParameter(f"{text!r} is no number of seconds, 0 or more, e.g. 60")


RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped name or a path.")]
RecipesArgument = Annotated[
    list[str], typer.Argument(metavar="RECIPE...", help="Shipped names or paths.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", metavar="KEY=VALUE", help="Change a value, e.g. -o train.steps=5000it."),
]
Replicates = Annotated[
    int | None,
    typer.Option(metavar="N", parser=whole_number, help="How many replicates, at least 1."),
]
Jobs = Annotated[
    int | None, typer.Option(metavar="N", parser=whole_number, help="Workers [default: cores].")
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", parser=whole_number, help="Of a worker [default: cores / workers]."),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="ARM", help="Only this arm; may be repeated.")
]
LineNames = Annotated[
    list[str] | None,
    typer.Option("--line", metavar="LINE", help="Only this line of the recipe; may be repeated."),
]
ScaleOption = Annotated[
    str, typer.Option(metavar="SCALE", help="full, small or smoke, where the recipe has it.")
]
Yes = Annotated[
    bool, typer.Option("--yes", help="Plan it however large it is, without a question.")
]
NoCode = Annotated[
    bool, typer.Option("--no-code", help="Refuse a recipe that runs code outside Winnow.")
]
StoreOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Finished runs [default: $WINNOW_STORE, else ./runs]."),
]
