"""What engines cost on this machine, for one kind of work: measured once, kept in a file.

Choices between engines rest on this file alone, never on the clock of the moment: as long as it
stands, the same masks get the same engine.

FOLDER/KEY.json    the calibration, with the SHA-256 of what it says
FOLDER/.KEY.lock   flock: who measures it now
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from winnow.digest import sealed_json, unsealed_json
from winnow.engine.base import Job
from winnow.engine.turns import machine
from winnow.files import make_folder, write_whole
from winnow.locks import lock_when_free

_log = logging.getLogger(__name__)
_FORMAT = 1
_FORMAT_OF_MORE = 2  # with other engines, or without the sparse one
_KEYS = (
    *("format", "key", "machine", "rungs", "layers", "costs", "others", "cannot"),
    "sha256",
)  # of before there were digests


@dataclass(frozen=True)
class Cost:
    """Seconds of a training step, and of evaluating one image."""

    step: float
    image: float


@dataclass(frozen=True)
class Rung:
    """Both engines at one density of all layers, measured in turns. At 1 there is no mask.

    ``sparse``: None where that engine cannot train the work.
    """

    density: float
    dense: Cost
    sparse: Cost | None


@dataclass(frozen=True)
class Layer:
    """A layer's weights, and the multiplications that each of them makes for one image."""

    weights: int
    uses: float


@dataclass(frozen=True)
class LayerCost:
    """A layer inside the sparse engine, in units of the dense engine's step.

    ``slope``: what sparse kernels take for it, for each unit of its density. ``torch``: what torch
    takes for it densely, conversions included, beyond the sparse kernels at the lowest rung.
    """

    slope: float
    torch: float


@dataclass(frozen=True)
class Other:
    """What another engine costs, whatever the density.

    ``opening``: seconds until its first step is made, when nothing of it was compiled before.
    ``cost``: of one network, in the time that the dense engine took in the rungs. ``width``: how
    many networks trained together when it was measured.
    """

    opening: float
    cost: Cost
    width: int = 1


@dataclass(frozen=True)
class Calibration:
    """Costs of one kind of work on one machine.

    ``rungs``: by falling density. ``layers``: every weight that a mask may hold, by name.
    ``costs``: of the layers that may run in torch inside the sparse engine; else empty.
    ``others``: further engines, by name, which are measured where they may pay (see
    `winnow.engine.rivals`). ``cannot``: engines that were tried in vain, and why.
    """

    key: str
    machine: Mapping[str, Any]
    rungs: tuple[Rung, ...]
    layers: Mapping[str, Layer]
    costs: Mapping[str, LayerCost]
    others: Mapping[str, Other] = field(default_factory=dict)
    cannot: Mapping[str, str] = field(default_factory=dict)

    @property
    def lanes(self) -> int:
        """The width of the vectors that the sparse engine was measured with."""
        return int(self.machine["float32 lanes"])

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that it says, in hex: what a run stores of it."""
        return hashlib.sha256(_text(self.dump()).encode()).hexdigest()

    def dump(self) -> dict[str, Any]:
        """Plain values: in the first format where that can say all."""
        plain = asdict(self)
        if self.others or self.cannot:
            return {"format": _FORMAT_OF_MORE, **plain}
        del plain["others"], plain["cannot"]
        return {"format": _FORMAT, **plain}

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Calibration:
        """The calibration that `dump` gave. Raises ValueError, KeyError or TypeError."""
        if plain["format"] not in (_FORMAT, _FORMAT_OF_MORE):
            raise ValueError(f"its format is {plain['format']}, not {_FORMAT}, {_FORMAT_OF_MORE}")
        more = plain["format"] == _FORMAT_OF_MORE
        rungs = tuple(
            Rung(r["density"], Cost(**r["dense"]), Cost(**r["sparse"]) if r["sparse"] else None)
            for r in plain["rungs"]
        )
        layers = {name: Layer(**one) for name, one in plain["layers"].items()}
        costs = {name: LayerCost(**one) for name, one in plain["costs"].items()}
        others = {
            name: Other(one["opening"], Cost(**one["cost"]), one["width"])
            for name, one in (plain["others"] if more else {}).items()
        }
        cannot = dict(plain["cannot"]) if more else {}
        return Calibration(plain["key"], plain["machine"], rungs, layers, costs, others, cannot)


def calibration_key(job: Job, gpu: str | None = None) -> str:
    """The kind of a job's work on this machine, as a hash (hex).

    Its network, images, batch and update rule, and the machine with its kernels; not the seeds,
    the learning rate or the length of training, which cost nothing. ``gpu``: the name of the GPU
    that the other engines train on, if they do.
    """
    from winnow.kernels.cache import key as kernels

    model = job.build()
    about = {
        "format": _FORMAT,
        "network": repr(model),
        "parameters": {name: list(p.shape) for name, p in model.named_parameters()},
        "images": list(job.data.splits["train"].images.shape[1:]),
        "augment": job.data.augment,
        "batch": job.batch,
        "optimizer": job.optimizer["name"],
        "clip": job.clip is not None,
        "machine": {name: value for name, value in machine().items() if name != "cores"},
        "kernels": kernels(),
        **({} if gpu is None else {"gpu": gpu}),
    }
    return hashlib.sha256(_text(about).encode()).hexdigest()


def calibration_path(folder: Path, key: str) -> Path:
    """Where a folder keeps the calibration of a kind of work."""
    return folder / f"{key[:16]}.json"


def read_calibration(folder: Path, key: str) -> Calibration | None:
    """The folder's calibration; None where there is none, or none that is whole."""
    path = calibration_path(folder, key)
    try:
        found = check_calibration(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("%s cannot be read (%s): it is measured again", path, error)
        return None
    return found if found.key == key else None


def check_calibration(path: Path) -> Calibration:
    """The calibration of a file. Raises OSError, ValueError, KeyError, TypeError or AttributeError
    unless it is what was written.
    """
    plain, _ = unsealed_json(path.read_bytes(), _KEYS)
    written = plain.pop("sha256")
    found = Calibration.load(plain)
    if found.hash != written or calibration_path(path.parent, found.key) != path:
        raise ValueError("it is not what was written")
    return found


def calibrated(folder: Path, key: str, measure: Callable[[], Calibration]) -> Calibration:
    """The folder's calibration, measured now if there is none.

    Among several processes one measures and the others wait for its file. Raises OSError when the
    folder cannot be written.
    """
    if (known := read_calibration(folder, key)) is not None:
        return known
    with _locked(folder, key):
        if (known := read_calibration(folder, key)) is not None:
            return known
        return _written(folder, key, measure())


def extended(
    folder: Path,
    known: Calibration,
    lacks: Callable[[Calibration], bool],
    measure: Callable[[Calibration], Calibration],
) -> Calibration:
    """A folder's calibration with what it lacks, measured now; what it says already stays.

    Locks and raises as `calibrated` does.
    """
    if not lacks(known):
        return known
    with _locked(folder, known.key):
        now = read_calibration(folder, known.key) or known
        return _written(folder, known.key, measure(now)) if lacks(now) else now


@contextlib.contextmanager
def _locked(folder: Path, key: str) -> Iterator[None]:
    make_folder(folder)
    path = calibration_path(folder, key)
    with lock_when_free(path.with_name(f".{path.stem}.lock"), "the calibration of engines"):
        yield


def _written(folder: Path, key: str, made: Calibration) -> Calibration:
    assert made.key == key
    write_whole(calibration_path(folder, key), sealed_json({**made.dump(), "sha256": made.hash}))
    return made


def _text(value: Any) -> str:
    """Canonical JSON: equal values, equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
