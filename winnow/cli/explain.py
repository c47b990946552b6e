"""``winnow explain``: why a ticket works."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.consent import asking
from winnow.cli.exits import naming
from winnow.cli.options import (
    Jobs,
    NoCode,
    Replicates,
    ScaleOption,
    StoreOption,
    Threads,
    Yes,
    whole_number,
)
from winnow.cli.stopping import as_typed
from winnow.cli.store import one_run, read_store

if TYPE_CHECKING:
    from winnow.experiment.plan.plan import Planned
    from winnow.experiment.store.store import Store
    from winnow.experiment.train.executor import Event
    from winnow.explaining import Explanation


def explain_command(
    ticket: Annotated[
        str, typer.Argument(metavar="RUN|RECIPE", help="A run's folder or hash, or a recipe.")
    ],
    arm: Annotated[str | None, typer.Option(metavar="ARM", help="Of a recipe: which arm.")] = None,
    round_: Annotated[
        int | None,
        typer.Option("--round", metavar="N", parser=whole_number, help="Of a recipe: which round."),
    ] = None,
    line: Annotated[str, typer.Option(metavar="LINE", help="Of a recipe: which line.")] = "",
    scale: ScaleOption = "full",
    replicates: Replicates = None,
    run: Annotated[
        bool, typer.Option("--run", help="Train the controls that are missing.")
    ] = False,
    draws: Annotated[
        int,
        typer.Option(metavar="N", parser=whole_number, help="Of each control, at least."),
    ] = 1,
    jobs: Jobs = None,
    threads: Threads = None,
    store: StoreOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    yes: Yes = False,
    no_code: NoCode = False,
) -> None:
    """Say why a ticket works: by its layer densities, its mask, or its initialisation."""
    from winnow.cli.progress import shown, tally_of
    from winnow.experiment.recipe.code import check_no_code
    from winnow.experiment.recipe.load import is_recipe
    from winnow.experiment.train.protocol import DiskError
    from winnow.explaining import explain, question_of_recipe, question_of_run
    from winnow.outside import running_code

    place = read_store(store)
    with running_code(not no_code):
        if is_recipe(ticket):
            question = question_of_recipe(
                ticket, round_=round_, arm=arm, line=line, scale=scale, replicates=replicates
            )
        else:
            question = question_of_run(place, one_run(place, ticket), replicates)
    question = replace(question, draws=draws)
    if no_code:
        check_no_code(question.recipe, question.name)
    with ExitStack() as progress, naming(place.path, DiskError):

        def on_plan(plan: Planned, place: Store) -> Callable[[Event], None]:
            return progress.enter_context(shown(tally_of(plan, place), quiet))

        def explained(confirmed: bool) -> Explanation:
            return explain(
                question,
                place.path,
                run=run,
                jobs=jobs,
                threads=threads,
                command=as_typed(),
                confirm=confirmed,
                code=not no_code,
                on_plan=on_plan,
            )

        found = asking(explained, yes)
    _print(found)


def _print(found: Explanation) -> None:
    from winnow.report import wording
    from winnow.report.parts.parts_text import explained_text

    print(explained_text(found.explained))
    if found.left:
        arms = ", ".join(f"{count} of {arm}" for arm, count in found.explained.missing.items())
        missing = f"{wording.plural(found.left, 'run')} missing ({arms})"
        print(f"{missing}. To train: {as_typed()} --run", file=sys.stderr)
    if found.page:
        print(f"\npage: {found.page}")
