"""``winnow run``: train what is missing of a recipe, and write its report."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.changes import Changes, changing
from winnow.cli.consent import tell_doubts
from winnow.cli.exits import naming
from winnow.cli.options import Jobs, RecipesArgument, StoreOption, Threads, duration
from winnow.cli.report import print_paths

if TYPE_CHECKING:
    from winnow.experiment.plan.plan import Planned
    from winnow.experiment.store.store import Store
    from winnow.experiment.train.executor import Event
    from winnow.report import Results


@changing
def run_command(
    recipes: RecipesArgument,
    changes: Changes,
    jobs: Jobs = None,
    threads: Threads = None,
    store: StoreOption = None,
    checkpoint: Annotated[
        float,
        typer.Option(metavar="SECONDS", parser=duration, help="Between checkpoints of a run."),
    ] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Print every density, the whole verdict, all files.")
    ] = False,
) -> None:
    """Run what is missing of a recipe, and write its report.

    Of several recipes, one after the other: what they want recorded of a run that they share is
    recorded as it is trained.
    """
    from winnow.cli.progress import shown, tally_of
    from winnow.cli.so_far import SoFar
    from winnow.experiment.train.protocol import DiskError
    from winnow.experiments import plans_of, store_path
    from winnow.experiments import run as run_recipe

    beside = plans_of([changes.ask(one) for one in recipes]) if len(recipes) > 1 else []
    for recipe in recipes:
        with ExitStack() as progress, naming(store_path(store), DiskError):

            def on_plan(
                plan: Planned, place: Store, progress: ExitStack = progress
            ) -> Callable[[Event], None]:
                tell_doubts(plan)
                told = None if quiet else SoFar(plan.experiment(), place)
                return progress.enter_context(shown(tally_of(plan, place), quiet, told))

            outcome = run_recipe(
                recipe,
                **changes.of_run(),
                store=store,
                jobs=jobs,
                threads=threads,
                checkpoint=checkpoint,
                on_plan=on_plan,
                beside=beside,
            )
        if full:
            print(f"{outcome.table}\n\n{outcome.brief_verdict}\n")
        else:
            print(f"{_shown(outcome.results)}\n")
        print_paths(outcome.paths, figures=full)


def _shown(results: Results) -> str:
    """The answer and a table: with bars on a terminal; a pipe's lines are plain, never wrapped."""
    from winnow.report import brief_text, screen_text
    from winnow.report.bars import BLOCKS

    if not sys.stdout.isatty():
        return brief_text(results)
    columns = shutil.get_terminal_size().columns
    return screen_text(results, columns, blocks=_can_show(BLOCKS))


def _can_show(characters: str) -> bool:
    """Whether the terminal's encoding has them."""
    try:
        characters.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
