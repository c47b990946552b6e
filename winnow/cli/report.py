"""``winnow report``: tables, figures and a page from what is finished."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.changes import Changes, changing
from winnow.cli.options import RecipesArgument, StoreOption
from winnow.cli.stopping import as_typed
from winnow.cli.store import read_store
from winnow.errors import UserError

if TYPE_CHECKING:
    from winnow.experiment.expected import Experiment
    from winnow.experiment.store.store import Store
    from winnow.experiments import Asked
    from winnow.report import Paths


def print_paths(paths: Paths, figures: bool = True) -> None:
    """The files of a report, a line each; the page last. ``figures``: with figures and tables."""
    for figure in paths.figures if figures else ():
        print(f"figure: {figure}")
    if figures and paths.tables:
        print(f"tables: {paths.tables[0].parent} (CSV, Markdown, LaTeX)")
    if figures and paths.parquet:
        print(f"rows: {paths.parquet}")
    print(f"rows: {paths.csv}")
    print(f"page: {paths.page}")


@changing
def report_command(
    recipes: RecipesArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the page and figures go.")],
    changes: Changes,
    store: StoreOption = None,
) -> None:
    """Write tables, figures and a page from what is finished. Trains nothing."""
    from winnow.report import read_results, write_report

    place = read_store(store)
    experiments = _experiments([changes.ask(recipe) for recipe in recipes], place)
    results = [read_results(experiment, place) for experiment in experiments]
    for part in results:
        if not part.rows:
            raise UserError(
                f"nothing of {part.name} is finished in {place.path}: first winnow run {part.name}"
            )
        if part.missing:
            left = f"{part.missing} runs of {part.name} are not finished yet and left out"
            print(left, file=sys.stderr)
    paths = write_report(results, out, command=as_typed())
    if paths.parquet is None:
        print("note: no rows.parquet without pyarrow: pip install 'winnow[data]'", file=sys.stderr)
    print_paths(paths)


def _experiments(asked: Sequence[Asked], store: Store) -> Iterator[Experiment]:
    from winnow.experiments import experiments_offline

    for one in asked:
        experiments, note = experiments_offline(one, store)
        if note:
            print(note, file=sys.stderr)
        yield from experiments
