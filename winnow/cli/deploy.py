"""``winnow deploy``: a run or a ticket as one small file that runs faster, with its card."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.masked import masked_run
from winnow.cli.options import StoreOption
from winnow.cli.stopping import as_typed
from winnow.cli.store import read_store
from winnow.errors import UserError, unknown

if TYPE_CHECKING:
    from winnow.deployment.card import Card
    from winnow.deployment.deploying import Format
    from winnow.deployment.of_run import Deployable
    from winnow.ticket import Ticket


def deploy_command(
    what: Annotated[
        str, typer.Argument(metavar="RUN|TICKET", help="A stored run, a recipe, or a ticket file.")
    ],
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.")],
    format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="sparse, torch or onnx.")
    ] = "sparse",
    int8: Annotated[bool, typer.Option("--int8", help="Weights of one byte each.")] = False,
    shrink: Annotated[
        bool, typer.Option(help="Leave out units that decide nothing.", show_default=False)
    ] = True,
    beside: Annotated[
        list[str] | None,
        typer.Option(metavar="RIVAL", help="Time it too: onnx, onnx-int8; may be repeated."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="Of a ticket: its network, FILE.py:FUNCTION."),
    ] = None,
    input: Annotated[
        str | None,
        typer.Option("--input", metavar="SHAPE", help="Of a ticket: one example, e.g. 3x32x32."),
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="ORG/NAME", help="Upload the folder to the hub.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Write a trained ticket as one file for inference, with a card of what was measured.

    E.g. winnow deploy lth/digits --to deployed. wn.load_deployed reads it, without the network's
    class. A run is measured on its test images; a ticket file too where its run is in the store,
    else on speed alone.
    """
    from winnow.deployment.deploying import FORMATS, module_of, prepared
    from winnow.deployment.folder import CardSources, write_folder

    chosen: Format | None = next((known for known in FORMATS if known == format), None)
    if chosen is None:
        raise unknown("--format", format, FORMATS, f"It is one of {', '.join(FORMATS)}")
    if to.exists() or to.is_symlink():
        raise UserError(f"--to {to} is there already: name another folder, or remove it first")
    if push is not None:
        from winnow.deployment.hub import check_name

        check_name(push)
    found = _deployable(what, model, input, store)
    made = prepared(found.model, found.ticket, found.example, shrink)
    module = module_of(made, chosen, int8=int8)
    data = None if found.data is None else ((found.data[0],), found.data[1])
    name = found.ticket.provenance.get("dataset") if data is not None else None
    calibration = None if found.calibration is None else (found.calibration,)
    given = CardSources(data, calibration, name, beside or (), _title(found))
    card = write_folder(to, made, module, chosen, int8=int8, given=given)
    print("\n".join(_summary(card, to)))
    if push is not None:
        from winnow.deployment.hub import push as upload

        print(f"pushed: {upload(to, push)}")


def _deployable(what: str, model: str | None, shape: str | None, store: Path | None) -> Deployable:
    from winnow.deployment.of_run import (
        deployable_own,
        deployable_run,
        deployable_ticket,
        run_of_ticket,
        with_images_of,
    )
    from winnow.hub import is_hub_address
    from winnow.ticket import load

    if not (is_hub_address(what) or Path(what).is_file()):
        if model is not None or shape is not None:
            raise UserError(f"--model and --input are for ticket files: {what} is none here")
        return deployable_run(masked_run(read_store(store), what).folder)
    ticket = load(what)
    own = ticket.provenance.get("own")
    if model is None and shape is None:
        if isinstance(own, dict):
            raise _asks_for_consent(what, str(own.get("place")))
        found = deployable_ticket(ticket)
    elif model is not None and shape is None and own is not None:
        found, note = deployable_own(ticket, model)
        if note:
            print(note, file=sys.stderr)
    else:
        return _own(ticket, model, shape)
    run = run_of_ticket(ticket, read_store(store))
    if run is None or run.data.own is not None:
        return found
    return with_images_of(found, run)


def _asks_for_consent(what: str, place: str) -> UserError:
    """A ticket, which may be anybody's, runs no code by itself: the user names it."""
    shown = place if place.isprintable() else repr(place)
    return UserError(
        f"{what} is of a network of one's own, {shown}, and no file is run because a ticket names "
        "it. If that file is there, and yours or one that you trust, say so: "
        f"{as_typed()} --model {shlex.quote(shown)}. If it is gone, name another function that "
        "builds the network, with --input, e.g. --input 3x32x32"
    )


def _own(ticket: Ticket, model: str | None, shape: str | None) -> Deployable:
    """A ticket of one's own network. UserError: what is missing, or is no network or shape."""
    from torch import nn, randn

    from winnow.deployment.of_run import Deployable
    from winnow.outside import load_outside

    if model is None or shape is None:
        raise UserError("--model and --input go together: a network, and the shape of an example")
    sizes = shape.split("x")
    if not all(size.isdecimal() and int(size) > 0 for size in sizes):
        raise UserError(f"--input {shape} is no shape of one example, e.g. 3x32x32 or 784")
    network = load_outside(model, "--model")()
    if not isinstance(network, nn.Module):
        raise UserError(f"--model {model} returned a {type(network).__name__}, not an nn.Module")
    return Deployable(network, ticket, randn(2, *map(int, sizes)))


def _title(found: Deployable) -> str:
    about = found.ticket.provenance
    network = about.get("network") or type(found.model).__name__
    dataset = f" on {about['dataset']}" if about.get("dataset") else ""
    return f"{network}{dataset}, {100 * found.ticket.mask.density:.3g} % of its weights"


def _summary(card: Card, to: Path) -> list[str]:
    from winnow.deployment.measure import printed_seconds

    lines = [
        f"file: {to / card.file} ({card.size / 1000:,.1f} KB; dense weights "
        f"{card.dense_size / 1000:,.1f} KB)"
    ]
    for batch in dict.fromkeys(one.batch for one in card.latencies):
        times = [one for one in card.latencies if one.batch == batch]
        told = ", ".join(f"{one.rival} {printed_seconds(one.median)}" for one in times)
        lines.append(f"batch {batch}: {told}")
    if card.before is not None and card.after is not None:
        lines.append(
            f"accuracy: {100 * card.before.share:.2f} % before, {100 * card.after.share:.2f} % "
            f"after, of {card.after.examples:,} examples"
        )
    return [*lines, f"card: {to / 'README.md'}"]
