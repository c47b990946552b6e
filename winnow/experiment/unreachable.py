"""Which runs can never be made: the one place that says what a diverged run takes with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def unreachable_runs(parents: Mapping[str, Iterable[str]], status: Mapping[str, str]) -> set[str]:
    """The runs without a result that need a diverged one, directly or through others.

    ``parents``: identity → those of the runs that it needs, parents before children. ``status``:
    ``done`` or ``diverged`` for each run that has a result.
    """
    lost: set[str] = set()
    for identity, needed in parents.items():
        cut_off = any(status.get(p) == "diverged" or p in lost for p in needed)
        if identity not in status and cut_off:
            lost.add(identity)
    return lost
