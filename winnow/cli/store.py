"""``winnow ls`` and ``winnow show``: what a store holds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.options import StoreOption
from winnow.errors import UserError, unknown

if TYPE_CHECKING:
    from winnow.experiment.store.store import Found, Store


def ls_command(store: StoreOption = None) -> None:
    """List the finished runs of a store."""
    from winnow.cli.describe.runs import describe_run

    place = read_store(store)
    found = place.all()
    for one in found:
        print(describe_run(one))
    there = "" if place.path.exists() else ", which is not there yet"
    print(f"{len(found)} runs in {place.path}{there}", file=sys.stderr)
    _report_damaged(place, found)


def read_store(store: Path | None) -> Store:
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


def show_command(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN [RUN]", help="Folder names, or their beginnings.")
    ],
    store: StoreOption = None,
) -> None:
    """Show a finished run, or how two runs' recipes differ."""
    from winnow.cli.describe.runs import describe_difference, describe_whole_run

    if len(runs) > 2:
        raise UserError(f"show takes one run, or two to compare; {len(runs)} are given")
    place = read_store(store)
    found = [one_run(place, name) for name in runs]
    text = describe_whole_run(found[0]) if len(found) == 1 else describe_difference(*found)
    print(text)


def one_run(place: Store, name: str) -> Found:
    """The run whose folder is named, or whose folder or hash begins with a name."""
    fitting = runs_named(place, name)
    name = Path(name).name
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        folders = [f.folder.name for f in place.all()]
        raise unknown("run", name, folders, f"`winnow ls --store {place.path}` lists them")
    some = ", ".join(f.folder.name for f in fitting[:4])
    raise UserError(f"{len(fitting)} runs begin with {name!r}: {some}; write more of the name")


def runs_named(place: Store, name: str) -> list[Found]:
    """The run whose folder has a name, else all whose folder or hash begins with it."""
    name = Path(name).name  # a path to the folder, as a shell completes it, is fine
    found = place.all()
    exact = [f for f in found if f.folder.name == name]
    begun = [f for f in found if f.folder.name.startswith(name) or f.run.id.startswith(name)]
    return exact or begun
