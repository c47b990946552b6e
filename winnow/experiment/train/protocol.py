"""What an executor and its workers say to each other: the one place that a pool is built on.

    executor → worker   a `Task`
    worker → executor   `Answer`s: ``step`` as a run advances; ``done`` for each run that is stored
                        now, ``busy`` for each that another process trains; ``idle`` at the end of
                        the task, or instead of it ``damaged`` or ``failed``

Both are plain values (``dump`` and ``load``), so that they fit in a line of JSON. All else goes
through the store: a worker reads parents from it and writes results to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from winnow.experiment.analyses import Analysis
from winnow.experiment.runs import Record, Run, load_run, plain_fields

HALT = "halt\n"
"""The line that asks a worker to keep what it trains, and to end."""


class WorkerError(RuntimeError):
    """A worker could not finish a run, for a reason that is not the user's input."""


class DiskError(OSError):
    """The store takes no more files; what is finished stays, running again continues."""


class DamagedParentError(Exception):
    """A parent's file is damaged; it has been set aside and must be made again."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


@dataclass(frozen=True)
class Order:
    """A run to train, what is to be recorded of it, and its place in the task's stack."""

    run: Run
    record: Record
    place: int = 0


@dataclass(frozen=True)
class Task:
    """What a worker is to do: train some runs, together where the engine stacks; or make an
    ``analysis``, of runs that are among the parents.

    ``parents``: the runs that those of the orders are made from, with what they recorded.
    ``checkpoint``: seconds between checkpoints. ``about``: provenance that is stored with each run.
    ``auto``: what ``engine: auto`` goes by, as `Auto.dump` gives it. ``width``: of the stack that
    the runs have their places in; None where each is trained by itself. ``threads``: of a worker.
    """

    orders: tuple[Order, ...]
    parents: tuple[Order, ...] = ()
    checkpoint: float = 60.0
    about: Mapping[str, Any] = field(default_factory=dict)
    auto: Mapping[str, Any] | None = None
    width: int | None = None
    analysis: Analysis | None = None
    threads: int = 1

    @property
    def runs(self) -> tuple[str, ...]:
        """The identities of the runs to train."""
        return tuple(order.run.id for order in self.orders)

    @property
    def works(self) -> tuple[str, ...]:
        """The identities of all that it makes."""
        return (self.analysis.id,) if self.analysis else self.runs

    @property
    def folder(self) -> str:
        """What it makes, by the folder's name; the first of several."""
        return self.analysis.folder if self.analysis else self.orders[0].run.folder

    def dump(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "orders": [_dump(order) for order in self.orders],
            "parents": [_dump(order) for order in self.parents],
            "checkpoint": self.checkpoint,
            "about": dict(self.about),
            "auto": self.auto,
            "width": self.width,
            "analysis": asdict(self.analysis) if self.analysis else None,
            "threads": self.threads,
        }

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Task:
        """The task that `dump` gave."""
        orders, parents = (tuple(map(_load, plain[name])) for name in ("orders", "parents"))
        analysis = Analysis.load(plain["analysis"]) if plain["analysis"] else None
        return Task(**{**plain, "orders": orders, "parents": parents, "analysis": analysis})


@dataclass(frozen=True)
class Answer:
    """What a worker says.

    ``run``: the identity it is about; in ``damaged`` of the parent that must be made again.
    ``step``: iterations made, in ``step``. ``fault``, in ``failed``: the ``user``'s input, a full
    or read-only ``disk``, or a ``bug``; with its ``error``. A pool itself says ``died``: the worker
    of the task is gone, with the exit code as ``error``.
    """

    event: Literal["step", "done", "busy", "idle", "damaged", "failed", "died"]
    run: str = ""
    step: int = 0
    fault: Literal["", "user", "disk", "bug"] = ""
    error: str = ""

    @property
    def ends_the_task(self) -> bool:
        """Whether the worker is free after it, or gone."""
        return self.event in ("idle", "damaged", "failed", "died")

    def dump(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Answer:
        """The answer that `dump` gave."""
        return Answer(**plain)


Tell = Callable[[Answer], None]
"""Takes a worker's answers."""


def _dump(order: Order) -> dict[str, Any]:
    return {"run": plain_fields(order.run), "record": order.record.dump(), "place": order.place}


def _load(plain: Mapping[str, Any]) -> Order:
    return Order(load_run(plain["run"]), Record.load(plain["record"]), plain["place"])
