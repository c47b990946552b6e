"""``winnow plan``: what a recipe costs before it is run."""

from __future__ import annotations

from typing import Annotated

import typer

from winnow.cli.changes import Changes, changing
from winnow.cli.consent import tell_doubts
from winnow.cli.options import Jobs, RecipeArgument, StoreOption
from winnow.cli.store import read_store


@changing
def plan_command(
    recipe: RecipeArgument,
    changes: Changes,
    jobs: Jobs = None,
    store: StoreOption = None,
    runs: Annotated[bool, typer.Option("--runs", help="List every run.")] = False,
) -> None:
    """List the runs of a recipe, what is done, and the time left. Trains nothing."""
    from winnow.cli.describe.plan import describe_plan
    from winnow.experiments import check_jobs, plan_offline

    place = read_store(store)
    chosen, note = plan_offline(changes.ask(recipe), place)
    tell_doubts(chosen)
    for text in describe_plan(chosen, place, check_jobs(jobs), note, runs):
        print(text)
