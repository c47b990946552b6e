"""What is deployed where a run or a ticket is named: its network, an example, the test data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from winnow import models
from winnow.engine.feed import Feed
from winnow.errors import UserError
from winnow.experiment.recipe.network import network_of_run
from winnow.experiment.store.run_tickets import ticket_of_run
from winnow.experiment.store.store import read_found
from winnow.experiment.train.job import make_job
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
    if not measure:
        return Deployable(model, ticket, _example(shape))
    feed = Feed(make_job(run), torch.device("cpu"))
    everything = torch.arange(feed.count("test"))
    images, labels = feed.splits["test"].take(everything)
    some = torch.arange(min(_CALIBRATION, feed.count("train")))
    calibration = feed.normalised(feed.splits["train"].take(some)[0])
    data = (feed.normalised(images), labels)
    return Deployable(model, ticket, calibration[:_EXAMPLES], data, calibration)


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
