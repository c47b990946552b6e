"""An unfinished run in a file: where its training stands, and what has been seen of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from winnow import statefile
from winnow.engine.base import Snapshot
from winnow.experiment.runs import Record
from winnow.experiment.store.store import LostStoreError
from winnow.files import write_whole
from winnow.mask import from_bytes, to_bytes
from winnow.state import State


@dataclass
class Progress:
    """All of an unfinished run but the engine's state.

    ``curve``: see `Result`. ``best``: the weights of minimum validation loss, which is
    ``best_loss``; of a session here or, from a checkpoint, as a state.
    ``states``: those to keep, by iteration. ``seconds``: of training so far. ``loss_total`` and
    ``loss_count``: of the training losses since the last evaluation; no count (of a checkpoint that
    says nothing of them): not known until the next one.
    """

    curve: dict[str, list[Any]] = field(
        default_factory=lambda: {
            "steps": [],
            "validation_loss": [],
            "validation_accuracy": [],
            "test_accuracy": [],
            "test_loss": [],
            "training_loss": [],
        }
    )
    best: State | Snapshot | None = None
    best_loss: float = math.inf
    states: dict[int, State] = field(default_factory=dict)
    accuracy_at: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    validation_at: dict[str, float] = field(default_factory=dict)
    loss_total: float = 0.0
    loss_count: int | None = 0

    @property
    def best_state(self) -> State | None:
        """The weights of minimum validation loss as a state."""
        if self.best is None or isinstance(self.best, State):
            return self.best
        return self.best.network()


@dataclass(frozen=True)
class Checkpoints:
    """Where an unfinished run is written, after how many seconds each, and what trains it."""

    path: Path
    every: float
    choice: Mapping[str, Any] | None = None


def save_checkpoint(
    checkpoints: Checkpoints, record: Record, now: State, progress: Progress
) -> None:
    """Write a checkpoint, whole. Raises LostStoreError, OSError."""
    if not checkpoints.path.parent.is_dir():
        raise LostStoreError(checkpoints.path.parent, "the store is gone")
    states = {"now": now} | {f"step-{k}": state for k, state in progress.states.items()}
    if (best := progress.best_state) is not None:
        states["best"] = best
    tensors: dict[str, Tensor] = {}
    about: dict[str, Any] = {}
    for name, state in states.items():
        packed, about[name] = statefile.pack_state(state, f"{name}/")
        tensors |= packed
    seen = {
        "curve": progress.curve,
        "accuracy_at": progress.accuracy_at,
        "seconds": progress.seconds,
        "validation_at": progress.validation_at,
        "loss_total": progress.loss_total,
        "loss_count": progress.loss_count,
    }
    about = {"states": about, "progress": seen, "record": record.dump()}
    about["choice"] = checkpoints.choice
    write_whole(checkpoints.path, to_bytes("checkpoint", tensors, about))


def read_checkpoint(
    checkpoints: Checkpoints | None, record: Record
) -> tuple[State, Progress] | None:
    """Where the run of a checkpoint stands; None without one.

    Raises ValueError when it is damaged. One that recorded less than is asked for now is no use.
    """
    if checkpoints is None or not checkpoints.path.exists():
        return None
    path = checkpoints.path
    tensors, plain = from_bytes("checkpoint", path.read_bytes(), str(path))
    with statefile.unpacking(str(path)):
        if not Record.load(plain["record"]).covers(record):
            return None
        return _unpacked(tensors, plain)


def check_checkpoint(path: Path) -> None:
    """Raises ValueError when a checkpoint is damaged, OSError when it cannot be read."""
    tensors, plain = from_bytes("checkpoint", path.read_bytes(), str(path))
    with statefile.unpacking(str(path)):
        Record.load(plain["record"])
        _unpacked(tensors, plain)


def _unpacked(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> tuple[State, Progress]:
    states = {
        name: statefile.unpack_state(_under(tensors, f"{name}/"), about, f"{name}/")
        for name, about in plain["states"].items()
    }
    progress = _seen(plain["progress"])
    progress.best = states.get("best")
    if progress.best is not None:
        index = progress.curve["steps"].index(progress.best.step)
        progress.best_loss = progress.curve["validation_loss"][index]
    progress.states = {
        int(name.removeprefix("step-")): s for name, s in states.items() if name.startswith("step-")
    }
    return states["now"], progress


def _seen(plain: Mapping[str, Any]) -> Progress:
    """What had been seen of a run; None where an older Winnow did not record it."""
    curve = dict(plain["curve"])
    length = len(curve["steps"])
    curve.setdefault("training_loss", [None] * length)
    curve.setdefault("test_loss", [None] * len(curve["test_accuracy"]))
    return Progress(**{"loss_count": None, **plain, "curve": curve})


def recorded_in(path: Path) -> Record:
    """What the run of a checkpoint records. Raises ValueError when it is damaged."""
    return Record.load(from_bytes("checkpoint", path.read_bytes(), str(path))[1]["record"])


def begun_with(path: Path) -> Mapping[str, Any]:
    """What trains the run of a checkpoint: an engine's name, and details.

    A checkpoint that does not say is one of the time when ``auto`` was always dense. Raises
    ValueError when it is damaged.
    """
    _, plain = from_bytes("checkpoint", path.read_bytes(), str(path))
    choice: Mapping[str, Any] = plain.get("choice") or {"engine": "dense", "torch": []}
    return choice


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
