"""``winnow export``: finished runs as compact tables that a repository can keep."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from winnow.cli.changes import Changes, changing
from winnow.cli.options import RecipesArgument, StoreOption
from winnow.cli.store import read_store


@changing
def export_command(
    recipes: RecipesArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the tables go.")],
    changes: Changes,
    store: StoreOption = None,
) -> None:
    """Write what is finished into tables without states, which reports and claims read."""
    from winnow.experiments import export

    place = read_store(store)
    for recipe in recipes:
        paths, missing = export(changes.ask(recipe), place, out)
        for path in paths:
            print(f"table: {path}")
        if missing:
            print(f"{missing} runs of {recipe} are not finished yet and left out", file=sys.stderr)
