"""``winnow find``: from a network and data to a ticket, by a recipe that it writes itself."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.consent import asking, tell_doubts
from winnow.cli.exits import naming
from winnow.cli.options import (
    Jobs,
    NoCode,
    Overrides,
    StoreOption,
    Threads,
    Yes,
    duration,
    whole_number,
)
from winnow.cli.tickets import check_new

if TYPE_CHECKING:
    from winnow.experiment.plan.plan import Planned
    from winnow.experiment.store.store import Store
    from winnow.experiment.train.executor import Event
    from winnow.finding import FoundTicket


def find_command(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Your FILE.py:FUNCTION, or e.g. resnet-20.")
    ],
    data: Annotated[
        str, typer.Option(metavar="DATA", help="FILE.py:FUNCTION, a folder, or e.g. mnist.")
    ],
    density: Annotated[float, typer.Option(metavar="D", help="Share of the weights that stay.")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="The ticket to write.")],
    method: Annotated[
        str, typer.Option(metavar="NAME", help="Of winnow methods; or {name: imp, rate: 0.5}.")
    ] = "imp",
    steps: Annotated[
        str | None,
        typer.Option(
            metavar="STEPS",
            help="Of one training, e.g. 30ep [default: 20ep, or 2000it where that is longer].",
        ),
    ] = None,
    scope: Annotated[
        str, typer.Option(metavar="SCOPE", help="global, layer, uniform, er, erk or row.")
    ] = "global",
    seed: Annotated[
        int, typer.Option(metavar="N", parser=whole_number, help="Of all that is drawn.")
    ] = 0,
    o: Overrides = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE.yaml", help="Keep the recipe, for winnow run."),
    ] = None,
    jobs: Jobs = None,
    threads: Threads = None,
    store: StoreOption = None,
    checkpoint: Annotated[
        float,
        typer.Option(metavar="SECONDS", parser=duration, help="Between checkpoints of a run."),
    ] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    yes: Yes = False,
    no_code: NoCode = False,
) -> None:
    """Find a ticket of a network: the weights that suffice, in one small file.

    E.g. winnow find net.py:make --data digits --density 0.05 --to ticket.safetensors. It prints
    the recipe that it runs; -o changes any of its keys. Interrupted and typed again, it continues.
    """
    from winnow.cli.progress import shown, tally_of
    from winnow.experiment.recipe.code import check_no_code
    from winnow.experiment.recipe.usual import usual_recipe
    from winnow.experiment.train.protocol import DiskError
    from winnow.experiments import store_path
    from winnow.finding import check_one_ticket, find_ticket, recipe_as_yaml, save_recipe
    from winnow.outside import running_code

    check_new(to)
    with running_code(not no_code):
        written = usual_recipe(
            *(model, data, density),
            method=method,
            steps=steps,
            scope=scope,
            seed=seed,
            overrides=o or (),
        )
        found = check_one_ticket(written)
        if no_code:
            check_no_code(found, model)
    if recipe is not None:
        save_recipe(written, recipe)
    with ExitStack() as progress, naming(store_path(store), DiskError):

        def on_plan(plan: Planned, place: Store) -> Callable[[Event], None]:
            print(recipe_as_yaml(written), flush=True)  # now that all of it makes sense
            tell_doubts(plan)
            return progress.enter_context(shown(tally_of(plan, place), quiet))

        def find(confirmed: bool) -> FoundTicket:
            return find_ticket(
                written,
                file=recipe,
                store=store,
                jobs=jobs,
                threads=threads,
                checkpoint=checkpoint,
                confirm=confirmed,
                code=not no_code,
                on_plan=on_plan,
            )

        made = asking(find, yes)
    check_new(to)
    made.ticket.save(to)
    _tell(made, to, store)


def _tell(made: FoundTicket, to: Path, store: Path | None) -> None:
    """The ticket beside the dense network, where everything is, and what comes next."""
    if made.found.collapsed:
        lost = ", ".join(made.found.collapsed)
        print(f"warning: no weight is left in {lost}: try --scope erk", file=sys.stderr)
    print("\n".join(_compared(made)))
    print(f"run: {made.folder.name}")
    print(f"page: {made.outcome.page}")
    print(f"ticket: {to} ({to.stat().st_size / 1000:,.1f} KB)")
    command = ["winnow", "deploy", made.folder.name, "--to", "deployed"]
    command += [] if store is None else ["--store", str(store)]
    print(f"next: {shlex.join(command)}")


def _compared(made: FoundTicket) -> list[str]:
    """A table: weights and density of those that compete, test accuracy at the end."""
    lines = [("", "weights", "density", "test accuracy")]
    for name, row in (("dense", made.dense), ("ticket", made.found)):
        accuracy = row.final_test_accuracy
        told = "unknown" if accuracy is None else f"{100 * accuracy:.2f} %"
        lines.append((name, f"{row.weights_kept:,}", f"{100 * row.density:.4g} %", told))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])])
        for cells in lines
    ]
