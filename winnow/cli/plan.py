"""``winnow plan``: what a recipe costs before it is run."""

from __future__ import annotations

from typing import Annotated

import typer

from winnow.cli.options import Jobs, Only, Overrides, RecipeArgument, Replicates, StoreOption
from winnow.cli.store import read_store


def plan_command(
    recipe: RecipeArgument,
    o: Overrides = None,
    replicates: Replicates = None,
    jobs: Jobs = None,
    only: Only = None,
    store: StoreOption = None,
    runs: Annotated[bool, typer.Option("--runs", help="List every run.")] = False,
) -> None:
    """List the runs of a recipe, what is done, and the time left. Trains nothing."""
    from winnow.cli.describe.plan import describe_plan
    from winnow.experiments import check_jobs, plan_offline

    place = read_store(store)
    chosen, note = plan_offline(recipe, place, o or (), replicates, only or ())
    for line in describe_plan(chosen, place, check_jobs(jobs), note, runs):
        print(line)
