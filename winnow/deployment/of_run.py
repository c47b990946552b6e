"""What is deployed where a run or a ticket is named: its network, an example, the test data."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from winnow import models
from winnow.engine.feed import Feed
from winnow.errors import UserError
from winnow.experiment.recipe.network import network_of_run, own_structure
from winnow.experiment.runs import Run
from winnow.experiment.store.run_tickets import ticket_of_run
from winnow.experiment.store.store import Store, read_found
from winnow.experiment.train.job import make_job
from winnow.outside import load_outside, source_of_place
from winnow.ticket import Ticket

_EXAMPLES = 2
_CALIBRATION = 256


@dataclass(frozen=True, eq=False)
class Deployable:
    """A ticket with its network. ``data``: scaled images and labels of the test set, if known;
    ``calibration``: some scaled images of the training set.
    """

    model: nn.Module
    ticket: Ticket
    example: Tensor
    data: tuple[Tensor, Tensor] | None = None
    calibration: Tensor | None = None


def deployable_run(folder: Path, *, measure: bool = True) -> Deployable:
    """The ticket of a stored run with its network and its test images, scaled as in training.

    ``measure``: whether the images are read. UserError for a dense or damaged run, and for images
    that are not here.
    """
    ticket = ticket_of_run(folder, "final")
    run = read_found(folder, None).run
    model = network_of_run(run.data, run.model)
    shape = run.data.about.inputs(run.data.size)
    found = Deployable(model, ticket, _example(shape))
    return with_images_of(found, run) if measure else found


def with_images_of(found: Deployable, run: Run) -> Deployable:
    """The same with a run's test images, scaled as in training. UserError: they are not here."""
    feed = Feed(make_job(run), torch.device("cpu"))
    everything = torch.arange(feed.count("test"))
    images, labels = feed.splits["test"].take(everything)
    some = torch.arange(min(_CALIBRATION, feed.count("train")))
    calibration = feed.normalised(feed.splits["train"].take(some)[0])
    data = (feed.normalised(images), labels)
    return replace(found, example=calibration[:_EXAMPLES], data=data, calibration=calibration)


def deployable_own(ticket: Ticket, place: str) -> tuple[Deployable, str]:
    """A ticket with a network of one's own, by its function ``file.py:function`` or
    ``module:function``, which is run; and a note where its file is another than the ticket's.

    Nothing that the ticket says is run: the place that its provenance names is not looked at.
    UserError: there is no such function, it builds no network, or the ticket says no shapes.
    """
    own: Any = ticket.provenance.get("own")
    try:
        channels, height, width = map(int, own["inputs"])
        classes, options = int(own["classes"]), dict(own.get("options") or {})
    except (TypeError, KeyError, ValueError, AttributeError):
        raise UserError(
            "this ticket does not say what its network takes: name it with --input, e.g. --input "
            "3x32x32"
        ) from None
    source, known = source_of_place(place, "--model"), str(own.get("source"))
    load_outside(place, "--model")
    model = own_structure(place, (channels, height, width), classes, options)
    note = "" if source.hash == known else (
        f"note: {source.path} is not the file that this ticket was found with (SHA-256 "
        f"{source.hash[:12]}…, then {known[:12]}…): look whether its network is the same"
    )  # fmt: skip
    return Deployable(model, ticket, _example((channels, height, width))), note


def run_of_ticket(ticket: Ticket, store: Store) -> Run | None:
    """The run that a ticket says it is from, if it is in a store. None where it is not."""
    identity = str(ticket.provenance.get("run"))
    if not re.fullmatch("[0-9a-f]{64}", identity):
        return None
    for folder in sorted((store.path / "runs").glob(f"*-{identity[:12]}*")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return read_found(folder, identity).run
    return None


def deployable_ticket(ticket: Ticket) -> Deployable:
    """A ticket with the network of Winnow's own that its provenance names.

    UserError where it names none: its network is one's own.
    """
    build = dict(ticket.provenance.get("build") or {})
    if not build:
        raise UserError(
            "this ticket does not say which network it is of: name it with --model "
            "FILE.py:FUNCTION and --input, e.g. --input 3x32x32; or use wn.deploy(model, ticket, …)"
        )
    shape = tuple(build.pop("inputs"))
    model = models.build(build.pop("name"), inputs=shape, **build)
    return Deployable(model, ticket, _example(shape))


def _example(shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn((_EXAMPLES, *shape), generator=generator)
