"""``winnow export``: finished runs as compact tables that a repository can keep."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from winnow.cli.options import (
    LineNames,
    Only,
    Overrides,
    RecipesArgument,
    Replicates,
    ScaleOption,
    StoreOption,
)
from winnow.cli.store import read_store


def export_command(
    recipes: RecipesArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the tables go.")],
    o: Overrides = None,
    replicates: Replicates = None,
    only: Only = None,
    line: LineNames = None,
    scale: ScaleOption = "full",
    store: StoreOption = None,
) -> None:
    """Write what is finished into tables without states, which reports and claims read."""
    from winnow.experiments import ask, export

    place = read_store(store)
    for recipe in recipes:
        asked = ask(recipe, o or (), replicates, only or (), line or (), scale)
        paths, missing = export(asked, place, out)
        for path in paths:
            print(f"table: {path}")
        if missing:
            print(f"{missing} runs of {recipe} are not finished yet and left out", file=sys.stderr)
