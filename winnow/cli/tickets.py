"""``winnow import``: tickets from the files of other projects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    ticket.save(to)
    about = ticket.provenance
    print(f"{about['layout']}: {', '.join(about['sha256'])}")
    print(ticket)
    for key, value in about.get("build", {}).items():
        print(f"  {key}: {value}")
    print(f"ticket: {to}")
