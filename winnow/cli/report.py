"""``winnow report``: tables, figures and a page from what is finished."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.exits import as_typed
from winnow.cli.options import Only, Overrides, RecipesArgument, Replicates, StoreOption
from winnow.cli.store import read_store
from winnow.errors import UserError

if TYPE_CHECKING:
    from winnow.report import Paths


def print_paths(paths: Paths, figures: bool = True) -> None:
    """The files of a report, a line each; the page last."""
    for figure in paths.figures if figures else ():
        print(f"figure: {figure}")
    print(f"rows: {paths.csv}")
    print(f"page: {paths.page}")


def report_command(
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

    place = read_store(store)
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
    print_paths(reports.write_report(results, out, command=as_typed()))
