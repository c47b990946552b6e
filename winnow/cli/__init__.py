"""The command line. Heavy imports stand inside the commands: ``winnow --help`` imports no torch."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.exits import as_typed, guarded, naming
from winnow.errors import UserError, unknown

if TYPE_CHECKING:
    from winnow.experiment.plan.plan import Plan
    from winnow.experiment.store.store import Found, Store
    from winnow.experiment.train.executor import Event
    from winnow.report import Paths

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # markup would take "[default: …]" for a style, and draw boxes in pipes
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find sparse sub-networks (lottery tickets), train them, explain them and ship them.",
)


def _whole(text: str | int) -> int:
    if str(text).lstrip("+-").isdecimal():
        return int(text)
    raise typer.BadParameter(f"{text!r} is no whole number, e.g. 2")


def _seconds(text: str | float) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if seconds >= 0:
        return seconds
    raise typer.BadParameter(f"{text!r} is no number of seconds, 0 or more, e.g. 60")


RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped name or a path.")]
RecipesArgument = Annotated[
    list[str], typer.Argument(metavar="RECIPE...", help="Shipped names or paths.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", metavar="KEY=VALUE", help="Change a value, e.g. -o train.steps=5000it."),
]
Replicates = Annotated[
    int | None, typer.Option(metavar="N", parser=_whole, help="How many replicates, at least 1.")
]
Jobs = Annotated[
    int | None, typer.Option(metavar="N", parser=_whole, help="Workers [default: cores].")
]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="ARM", help="Only this arm; may be repeated.")
]
StoreOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Finished runs [default: $WINNOW_STORE, else ./runs]."),
]


def main() -> None:
    """The ``winnow`` command."""
    for stream in (sys.stdout, sys.stderr):  # a terminal without ≥ or é shows a question mark
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        from winnow import __version__

        print(f"winnow {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command()
@guarded
def run(
    recipe: RecipeArgument,
    o: Overrides = None,
    replicates: Replicates = None,
    jobs: Jobs = None,
    only: Only = None,
    store: StoreOption = None,
    checkpoint: Annotated[
        float,
        typer.Option(metavar="SECONDS", parser=_seconds, help="Between checkpoints of a run."),
    ] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Run what is missing of a recipe, and write its report."""
    from winnow.cli.progress import Tally, shown
    from winnow.experiment.train.executor import DiskError, status_of
    from winnow.experiments import run as run_recipe
    from winnow.experiments import store_path

    with ExitStack() as progress, naming(store_path(store), DiskError):

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
@guarded
def plan(
    recipe: RecipeArgument,
    o: Overrides = None,
    replicates: Replicates = None,
    jobs: Jobs = None,
    only: Only = None,
    store: StoreOption = None,
) -> None:
    """List the runs of a recipe, what is done, and the time left. Trains nothing."""
    from winnow.cli.describe import describe_plan
    from winnow.experiments import check_jobs, plan_offline

    place = _reading(store)
    chosen, note = plan_offline(recipe, place, o or (), replicates, only or ())
    for line in describe_plan(chosen, place, check_jobs(jobs), note):
        print(line)


@app.command()
@guarded
def recipes() -> None:
    """List the recipes that come with Winnow."""
    from winnow.experiment.recipe.load import load_recipe, shipped

    names = shipped()
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {load_recipe(name).title}")


@app.command()
@guarded
def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[METHOD]", help="Show its formula and options.")
    ] = None,
) -> None:
    """List the methods that experiments compare, or show one."""
    from winnow.algorithms.catalogue import find_method
    from winnow.cli.describe import describe_method, describe_methods

    lines = describe_methods() if name is None else describe_method(find_method(name))
    for line in lines:
        print(line)


@app.command(name="ls")
@guarded
def list_runs(store: StoreOption = None) -> None:
    """List the finished runs of a store."""
    from winnow.cli.describe import describe_run

    place = _reading(store)
    found = place.all()
    for one in found:
        print(describe_run(one))
    there = "" if place.path.exists() else ", which is not there yet"
    print(f"{len(found)} runs in {place.path}{there}", file=sys.stderr)
    _report_damaged(place, found)


def _reading(store: Path | None) -> Store:
    """The store to read. A folder that is not there yet is an empty one."""
    from winnow.experiment.store.store import Store
    from winnow.experiments import store_path

    place = Store(store_path(store))
    if place.path.exists() and not place.path.is_dir():
        raise UserError(f"the store {place.path} is no folder: name another with --store DIR")
    return place.open(write=False)


def _report_damaged(place: Store, found: Sequence[Found]) -> None:
    whole = {one.folder for one in found}
    for folder in sorted((place.path / "runs").glob("[!.]*")):
        if folder not in whole:
            print(f"damaged: {folder}; a run that needs it makes it again", file=sys.stderr)


@app.command()
@guarded
def show(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN [RUN]", help="Folder names, or their beginnings.")
    ],
    store: StoreOption = None,
) -> None:
    """Show a finished run, or how two runs' recipes differ."""
    from winnow.cli.describe import describe_difference, describe_whole_run

    if len(runs) > 2:
        raise UserError(f"show takes one run, or two to compare; {len(runs)} are given")
    place = _reading(store)
    found = [_one_run(place, name) for name in runs]
    text = describe_whole_run(found[0]) if len(found) == 1 else describe_difference(*found)
    print(text)


def _one_run(place: Store, name: str) -> Found:
    """The run whose folder is named, or whose folder or hash begins with a name."""
    name = Path(name).name  # a path to the folder, as a shell completes it, is fine
    found = place.all()
    exact = [f for f in found if f.folder.name == name]
    begun = [f for f in found if f.folder.name.startswith(name) or f.run.id.startswith(name)]
    fitting = exact or begun
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        folders = [f.folder.name for f in found]
        raise unknown("run", name, folders, f"`winnow ls --store {place.path}` lists them")
    some = ", ".join(f.folder.name for f in fitting[:4])
    raise UserError(f"{len(fitting)} runs begin with {name!r}: {some}; write more of the name")


@app.command()
@guarded
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
    from winnow.experiments import plan_offline

    place = _reading(store)
    plans = [plan_offline(name, place, o or (), replicates, only or ()) for name in recipes]
    results = [reports.read_results(one.experiment(), place) for one, _ in plans]
    for one in results:
        if not one.rows:
            raise UserError(
                f"nothing of {one.name} is finished in {place.path}: first winnow run {one.name}"
            )
        if one.missing:
            left = f"{one.missing} runs of {one.name} are not finished yet and left out"
            print(left, file=sys.stderr)
    _print_paths(reports.write_report(results, out, command=as_typed()))


def _densities(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no list of densities, e.g. 1,0.5,0.1") from None


@app.command()
@guarded
def bench(
    network: Annotated[str, typer.Argument(metavar="[NETWORK]")] = "lenet-300-100",
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose images' shape [default: as usual].")
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", parser=_whole, help="Images in a batch.")] = 60,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help="The update rule.")] = "adam",
    density: Annotated[
        str | None, typer.Option(metavar="D,D,...", help="Densities [default: 1 down to 0.02].")
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="sparse, dense, eager, compile; may be repeated."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", parser=_seconds, help="For each density.")
    ] = 3.0,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the figure and the JSON file go.")
    ] = Path("bench/results"),
) -> None:
    """Time a training step against density: Winnow's engines beside plain torch.

    On one thread, in turns, on random images and masks: e.g. winnow bench, or winnow bench
    resnet-20 --batch 128 --optimizer momentum --density 1,0.2,0.05 --engine sparse --engine dense.
    Machines are shared and times drift: quote the ratios.
    """
    from winnow.bench import compare, sides, write

    work = compare.Work(network, data or compare.usual_data(network), batch, optimizer)
    densities = compare.DENSITIES if density is None else _densities(density)
    compare.check(densities, engine or (), seconds)
    write.check_out(out)
    job = compare.make_job(work)
    chosen, notes = compare.willing(engine or sides.NAMES, job)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(write.head(list(chosen)), flush=True)
    rows = []
    for row in compare.compare(job, chosen, densities, seconds):
        rows.append(row)
        print(write.line(row), flush=True)
    for line in write.even_lines(rows):
        print(line)
    paths = write.write(work, rows, notes, out)
    print(f"rows: {paths[0]}")
    for path in paths[1:]:
        print(f"figure: {path}")


@app.command(name="import")
@guarded
def import_from(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder of a run.")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="The ticket to write.")],
    layout: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="open_lth, grasp, synaptic-flow [default: as found]."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NETWORK", help="Take its names, e.g. resnet-20 [default: keep]."),
    ] = None,
) -> None:
    """Make a ticket from a mask and weights of open_lth, GraSP or Synaptic-Flow.

    E.g. winnow import level_3/main --to ticket.safetensors --model resnet-20. Nothing that is
    pickled in the files is run.
    """
    from winnow.importing import import_ticket

    ticket = import_ticket(path, layout, model=model)
    ticket.save(to)
    about = ticket.provenance
    print(f"{about['layout']}: {', '.join(about['sha256'])}")
    print(ticket)
    for key, value in about.get("build", {}).items():
        print(f"  {key}: {value}")
    print(f"ticket: {to}")


@app.command()
@guarded
def doctor(store: StoreOption = None) -> None:
    """Show versions, cores, and the data and engines found here."""
    from winnow.cli.doctor import examine
    from winnow.experiments import store_path

    for line in examine(store_path(store)):
        print(line)
