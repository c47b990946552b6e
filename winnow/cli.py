"""The command line. Heavy imports stand inside the commands: ``winnow --help`` imports no torch."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

import typer

from winnow.errors import UserError, unknown

if TYPE_CHECKING:
    from winnow.experiment.executor import Event
    from winnow.experiment.plan import Plan
    from winnow.experiment.store import Found, Store
    from winnow.report import Paths

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find sparse sub-networks (lottery tickets), train them, explain them and ship them.",
)

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped name or a path.")]
RecipesArgument = Annotated[
    list[str], typer.Argument(metavar="RECIPE...", help="Shipped names or paths.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", metavar="KEY=VALUE", help="Change a value, e.g. -o train.steps=5000it."),
]
Replicates = Annotated[int | None, typer.Option(metavar="N", min=1, help="How many replicates.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="ARM", help="Only this arm; may be repeated.")
]
StoreOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Finished runs [default: $WINNOW_STORE, else ./runs]."),
]

P = ParamSpec("P")
R = TypeVar("R")


def main() -> None:
    """The ``winnow`` command."""
    app()


def _guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Answer bad input with its message and exit code 2, and other ends in their own way."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except UserError as error:
            _exit(str(error), 2)
        except KeyboardInterrupt:
            again = " ".join(["winnow", *sys.argv[1:]])
            _exit(f"stopped; what is finished is kept. To continue: {again}", 130)
        except BrokenPipeError:  # the reader of a pipe has gone: nothing is left to say
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(1)
        except OSError as error:
            if error.errno is None and not type(error).__module__.startswith("winnow"):
                raise
            _exit(f"{error}\nWhat is finished is kept; make room and run the command again", 1)
        except RuntimeError as error:
            if not type(error).__module__.startswith("winnow"):
                raise
            _exit(str(error), 1)
        raise AssertionError("not reached")

    return guarded


def _exit(message: str, code: int) -> None:
    print(f"winnow: {message}", file=sys.stderr)
    sys.exit(code)


@app.command()
@_guarded
def run(
    recipe: RecipeArgument,
    o: Overrides = None,
    replicates: Replicates = None,
    jobs: Annotated[int | None, typer.Option(metavar="N", help="Workers [default: cores].")] = None,
    only: Only = None,
    store: StoreOption = None,
    checkpoint: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Between checkpoints of a run.")
    ] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Run what is missing of a recipe, and write its report."""
    from winnow.experiment.executor import status_of
    from winnow.experiment.progress import Tally, shown
    from winnow.experiment.run import run as run_recipe

    with ExitStack() as progress:

        def on_plan(plan: Plan, place: Store) -> Callable[[Event], None]:
            return progress.enter_context(shown(Tally(plan, status_of(plan, place)), quiet))

        outcome = run_recipe(
            recipe,
            overrides=o or (),
            replicates=replicates,
            only=only or (),
            store=store,
            jobs=jobs,
            checkpoint=checkpoint,
            on_plan=on_plan,
        )
    print(outcome.table)
    print()
    print(outcome.brief_verdict)
    print()
    _print_paths(outcome.paths)


def _print_paths(paths: Paths) -> None:
    for figure in paths.figures:
        print(f"figure: {figure}")
    print(f"rows: {paths.csv}")
    print(f"page: {paths.page}")


@app.command()
@_guarded
def plan(
    recipe: RecipeArgument,
    o: Overrides = None,
    replicates: Replicates = None,
    jobs: Annotated[int | None, typer.Option(metavar="N", help="Workers [default: cores].")] = None,
    only: Only = None,
    store: StoreOption = None,
) -> None:
    """List the runs of a recipe, what is done, and the time left. Trains nothing."""
    from winnow.experiment.describe import describe_plan
    from winnow.experiment.load import load_recipe
    from winnow.experiment.plan import expand
    from winnow.experiment.run import check_jobs, store_path
    from winnow.experiment.source import find_source_or_guess
    from winnow.experiment.store import Store

    loaded = load_recipe(recipe, o or (), replicates)
    source, note = find_source_or_guess(loaded)
    whole = expand(recipe, loaded, source)
    chosen = whole.only(only) if only else whole
    place = Store(store_path(store)).open(write=False)
    for line in describe_plan(chosen, place, check_jobs(jobs), note):
        print(line)


@app.command()
@_guarded
def recipes() -> None:
    """List the recipes that come with Winnow."""
    from winnow.experiment.load import load_recipe, shipped

    names = shipped()
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {load_recipe(name).title}")


@app.command(name="ls")
@_guarded
def list_runs(store: StoreOption = None) -> None:
    """List the finished runs of a store."""
    from winnow.experiment.describe import describe_run
    from winnow.experiment.run import store_path
    from winnow.experiment.store import Store

    place = Store(store_path(store)).open(write=False)
    found = place.all()
    for one in found:
        print(describe_run(one))
    print(f"{len(found)} runs in {place.path}", file=sys.stderr)


@app.command()
@_guarded
def show(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN [RUN]", help="Folder names, or their beginnings.")
    ],
    store: StoreOption = None,
) -> None:
    """Show a finished run, or how two runs' recipes differ."""
    from winnow.experiment.describe import describe_difference, describe_whole_run
    from winnow.experiment.run import store_path
    from winnow.experiment.store import Store

    place = Store(store_path(store)).open(write=False)
    if len(runs) > 2:
        raise UserError(f"show takes one run, or two to compare; {len(runs)} are given")
    found = [_one_run(place, name) for name in runs]
    text = describe_whole_run(found[0]) if len(found) == 1 else describe_difference(*found)
    print(text)


def _one_run(place: Store, name: str) -> Found:
    """The run whose folder, or whose hash, begins with a name."""
    found = place.all()
    fitting = [f for f in found if f.folder.name.startswith(name) or f.run.id.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        folders = [f.folder.name for f in found]
        raise unknown("run", name, folders, f"`winnow ls --store {place.path}` lists them")
    some = ", ".join(f.folder.name for f in fitting[:4])
    raise UserError(f"{len(fitting)} runs begin with {name!r}: {some}; write more of the name")


@app.command()
@_guarded
def report(
    recipes: RecipesArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the page and figures go.")],
    o: Overrides = None,
    replicates: Replicates = None,
    only: Only = None,
    store: StoreOption = None,
) -> None:
    """Write tables, figures and a page from what is finished. Trains nothing."""
    from winnow import report as reports
    from winnow.experiment.run import plan_recipe, store_path
    from winnow.experiment.store import Store
    from winnow.report.read import read_results

    place = Store(store_path(store)).open(write=False)
    plans = [plan_recipe(name, o or (), replicates, only or ()) for name in recipes]
    results = [read_results(one, place) for one in plans]
    for one in results:
        if not one.rows:
            raise UserError(
                f"nothing of {one.name} is finished in {place.path}: first winnow run {one.name}"
            )
    command = " ".join(["winnow", *sys.argv[1:]])
    _print_paths(reports.write(results, out, command=command))


@app.command()
@_guarded
def doctor(store: StoreOption = None) -> None:
    """Show versions, cores, and which data and engines can be used here."""
    from winnow.experiment.doctor import examine
    from winnow.experiment.run import store_path

    for line in examine(store_path(store)):
        print(line)
