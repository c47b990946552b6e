"""``winnow ticket`` and ``winnow import``: tickets of stored runs, and from files of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.masked import masked_run
from winnow.cli.options import StoreOption
from winnow.cli.store import read_store
from winnow.errors import UserError

if TYPE_CHECKING:
    from winnow.ticket import Ticket


def ticket_command(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder, its name or hash, or a recipe.")
    ],
    to: Annotated[Path, typer.Option(metavar="FILE", help="The ticket to write.")],
    weights: Annotated[
        str, typer.Option(metavar="PART", help="Which weights: both, rewind or final.")
    ] = "both",
    half: Annotated[bool, typer.Option("--half", help="Write floats as float16.")] = False,
    removed: Annotated[
        bool, typer.Option("--removed", help="Write removed weights, too: random masks need them.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Write the ticket of a finished run into one small file: its mask and its weights.

    E.g. winnow ticket lth/digits --to ticket.safetensors, which lists the runs to choose from.
    wn.load reads it.
    """
    from winnow.experiment.store.run_tickets import ticket_of_run
    from winnow.ticket import load

    check_new(to)
    found = masked_run(read_store(store), run)
    ticket = ticket_of_run(found.folder, weights)
    ticket.save(to, removed=removed, half=half)
    print("\n".join([f"run: {found.folder.name}", *_about(ticket), str(load(to))]))
    print(f"ticket: {to} ({to.stat().st_size / 1000:,.1f} KB)")


def check_new(path: Path) -> None:
    """UserError for a file that is there already: nothing is overwritten."""
    if path.is_dir():
        raise UserError(f"--to {path} is a folder: name a file, e.g. {path / 'ticket.safetensors'}")
    if path.exists() or path.is_symlink():
        raise UserError(f"--to {path} is there already: name another file, or remove it first")


def _about(ticket: Ticket) -> list[str]:
    """Where a run's ticket is from, how dense it is, how good it was at the end."""
    about = ticket.provenance
    line = [f"line {about['line']}"] if about.get("line") else []
    arm = [about["arm"], f"replicate {about['replicate']}"] if "arm" in about else []
    names = [about["recipe"] or "no recipe", *line, *arm, about["network"], about["dataset"]]
    kept = f"{100 * ticket.mask.density:.3g} % of the weights kept"
    test = about["accuracy"].get("test")
    accuracy = "" if test is None else f", test accuracy {100 * test:.2f} % at the end"
    if about["status"] == "diverged":
        accuracy = ", and its training has diverged"
    return [f"of: {', '.join(names)}", f"{kept}{accuracy}"]


def import_command(
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
    ticket.save(to, removed=True)  # all that the files of others hold
    about = ticket.provenance
    print(f"{about['layout']}: {', '.join(about['sha256'])}")
    print(ticket)
    for key, value in about.get("build", {}).items():
        print(f"  {key}: {value}")
    print(f"ticket: {to}")
