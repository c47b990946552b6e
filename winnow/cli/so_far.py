"""The answer on what is finished, while an execution goes on: cheap, and never in its way."""

from __future__ import annotations

import time
from dataclasses import replace

from winnow.experiment.expected import Experiment
from winnow.experiment.runs import Record
from winnow.experiment.store.exported import read_exported
from winnow.experiment.store.store import Found, Store
from winnow.experiment.train.executor import Event
from winnow.report.answer.partial import so_far
from winnow.report.read import read_results

_EVERY = 5.0  # seconds between two looks at the store, at least
_SHARE = 20  # a look may take a twentieth of the time


class SoFar:
    """What the finished runs of an experiment say.

    The store is looked at only when a run has ended since, every few seconds at most, and never for
    more than a twentieth of the time; each run is read once.
    """

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self._experiment = replace(experiment, analyses=())
        self._store = ReadOnce(store.path)
        self._exported = read_exported(store.path)
        self._said, self._stale, self._next = "", True, time.monotonic()

    def hear(self, event: Event) -> None:
        """Take an executor's event."""
        if event.kind in ("done", "diverged"):
            self._store.absent.discard(event.run)
            self._stale = True

    def text(self) -> str:
        """The clause, perhaps of a moment ago; empty while there is nothing to say."""
        began = time.monotonic()
        if self._stale and began >= self._next:
            self._said, self._stale = self._look(), False
            ended = time.monotonic()
            self._next = ended + max(_EVERY, _SHARE * (ended - began))
        return self._said

    def _look(self) -> str:
        try:
            return so_far(read_results(self._experiment, self._store, exported=self._exported))
        except Exception:  # a hint beside the counts: no fault of a report may stop a training
            return ""


class ReadOnce(Store):
    """A store whose runs are read once: those that are finished never change.

    ``absent``: identities that were looked for in vain, and are not looked for again.
    """

    def __init__(self, path: object) -> None:
        super().__init__(str(path), read_only=True)
        self.absent: set[str] = set()
        self._found: dict[str, Found] = {}

    def find_named(self, name: str, identity: str, record: Record | None = None) -> Found | None:
        """As `Store.find_named`; what was there once is not read again."""
        known = self._found.get(identity)
        if known is not None and (record is None or known.record.covers(record)):
            return known
        if identity in self.absent:
            return None
        found = super().find_named(name, identity, record)
        if found is None:
            self.absent.add(identity)
        else:
            self._found[identity] = found
        return found
