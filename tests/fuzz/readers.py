"""What reads each kind of file, and the errors that its docstring names: no other may come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import winnow as wn
from winnow.data.cache import damage_of
from winnow.deployment.hub import read_card
from winnow.deployment.saved import unpack_network
from winnow.engine.calibration import check_calibration
from winnow.errors import UserError
from winnow.experiment.store.analyses import check_analysis
from winnow.experiment.store.experiments import check_experiment
from winnow.experiment.store.exported import read_exported
from winnow.experiment.store.format import read_format
from winnow.experiment.store.images import read_source
from winnow.experiment.store.store import UNREADABLE, read_found
from winnow.experiment.train.checkpoint import check_checkpoint

_OF_JSON = (ValueError, KeyError, TypeError, AttributeError)


class Reader(NamedTuple):
    """What reads a file at a path, and what it raises for one that is not as it was written."""

    read: Callable[[Path], object]
    raises: tuple[type[Exception], ...]


def _run(file: Path) -> object:
    """A run, with all of its files."""
    found = read_found(file.parent, None)
    return [found.state(name.removesuffix(".safetensors")) for name in found.result.files]


def _format(file: Path) -> object:
    if (damage := read_format(file.parent).damage) is not None:
        raise ValueError(damage)
    return None


def _images(file: Path) -> object:
    if (damage := damage_of(file)) is not None:
        raise ValueError(damage)
    return None


_RUN = Reader(_run, UNREADABLE)
_TICKET = Reader(wn.load, (UserError,))
READERS: Mapping[str, Reader] = {
    "ticket": _TICKET,
    "ticket with removed weights": _TICKET,
    "mask": Reader(wn.Mask.load, (ValueError,)),
    "network": Reader(lambda file: unpack_network(file.read_bytes(), str(file)), (UserError,)),
    "card": Reader(read_card, (ValueError,)),
    "table": Reader(lambda file: read_exported(file.parent), (UserError,)),
    "images": Reader(_images, (ValueError,)),
    "state": _RUN,
    "run": _RUN,
    "result": _RUN,
    "experiment": Reader(lambda file: check_experiment(file.parent), _OF_JSON),
    "analysis": Reader(lambda file: check_analysis(file.parent), _OF_JSON),
    "checkpoint": Reader(check_checkpoint, (ValueError,)),
    "calibration": Reader(check_calibration, _OF_JSON),
    "source": Reader(read_source, (ValueError,)),
    "store": Reader(_format, (ValueError, UserError)),
}
"""By the kind of `files.whole_files`."""
