"""``winnow plan``: what a recipe costs before it is run."""

from __future__ import annotations

from typing import Annotated

import typer

from winnow.cli.options import (
    Jobs,
    LineNames,
    Only,
    Overrides,
    RecipeArgument,
    Replicates,
    ScaleOption,
    StoreOption,
)
from winnow.cli.store import read_store


def plan_command(
    recipe: RecipeArgument,
    o: Overrides = None,
    replicates: Replicates = None,
    jobs: Jobs = None,
    only: Only = None,
    line: LineNames = None,
    scale: ScaleOption = "full",
    store: StoreOption = None,
    runs: Annotated[bool, typer.Option("--runs", help="List every run.")] = False,
) -> None:
    """List the runs of a recipe, what is done, and the time left. Trains nothing."""
    from winnow.cli.describe.plan import describe_plan
    from winnow.experiments import ask, check_jobs, plan_offline

    place = read_store(store)
    asked = ask(recipe, o or (), replicates, only or (), line or (), scale)
    chosen, note = plan_offline(asked, place)
    for text in describe_plan(chosen, place, check_jobs(jobs), note, runs):
        print(text)
