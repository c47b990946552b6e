"""``winnow enter``: one's own method among the built-in ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.consent import asking
from winnow.cli.exits import naming
from winnow.cli.options import Jobs, Replicates, ScaleOption, StoreOption, Threads, Yes

if TYPE_CHECKING:
    from winnow.entering import Entered
    from winnow.experiment.plan.plan import Planned
    from winnow.experiment.store.store import Store
    from winnow.experiment.train.executor import Event


def enter_command(
    criterion: Annotated[
        str, typer.Argument(metavar="FILE.py:FUNCTION", help="Or module:function.")
    ],
    replicates: Replicates = None,
    jobs: Jobs = None,
    threads: Threads = None,
    scale: ScaleOption = "full",
    store: StoreOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    yes: Yes = False,
) -> None:
    """Compare your own criterion with all built-in methods on digits: rank, intervals, cost."""
    from winnow.cli.progress import shown, tally_of
    from winnow.entering import enter
    from winnow.experiment.train.protocol import DiskError
    from winnow.experiments import store_path
    from winnow.report.entry.entry_text import entry_text

    with ExitStack() as progress, naming(store_path(store), DiskError):

        def on_plan(plan: Planned, place: Store) -> Callable[[Event], None]:
            return progress.enter_context(shown(tally_of(plan, place), quiet))

        def entering(confirmed: bool) -> Entered:
            return enter(
                criterion,
                scale=scale,
                replicates=replicates,
                store=store,
                jobs=jobs,
                threads=threads,
                confirm=confirmed,
                on_plan=on_plan,
            )

        entered = asking(entering, yes)
    print(f"{entry_text(entered.entry)}\n")
    print(f"rows: {entered.outcome.paths.csv}")
    print(f"page: {entered.page}")
