"""For whom a command waits: who else makes what it needs, told when it has taken some time."""

from __future__ import annotations

import time

from winnow.experiment.store.store import Store
from winnow.locks import SAY_AFTER, holder_of


class Waits:
    """What another process makes, and what has been told of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._since: dict[str, float] = {}
        self._told: set[tuple[str, int, bool]] = set()

    def told_of(self, identity: str, name: str) -> str:
        """Who makes the run or analysis ``name``, and what to do should they not; empty where there
        is nothing to say, or it has been said.

        A process that works is told of once, whatever it is waited for; once more when it is
        stopped.
        """
        now = time.monotonic()
        waited = now - self._since.setdefault(identity, now)
        holder = holder_of(self._store.lock_file(identity))
        if holder is None:
            self._since[identity] = now
            return ""
        said = (holder.host, holder.process, holder.is_frozen)
        if waited < SAY_AFTER or said in self._told:
            return ""
        self._told.add(said)
        return f"{name} waits for {holder}, which makes it. {holder.advice}"
