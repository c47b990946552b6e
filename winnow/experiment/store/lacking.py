"""What a stored run lacks of what is asked for, and which of its iterations have to be made again.

Pure functions of what is stored. What the curve or the end has is read there; for the rest the run
goes on from its nearest stored state at or before the iteration, else from where it began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from winnow.experiment.runs import Record

if TYPE_CHECKING:
    from winnow.experiment.store.store import Found

BEGIN, END = "begin", "final"
"""Where a leg starts when it starts at no stored step: where the run began, or its end."""


@dataclass(frozen=True)
class Leg:
    """A part of a run that is made again.

    ``source``: the state that it starts from, `BEGIN`, `END` or ``step-N``; ``begin``: its
    iteration. ``looks``: the iterations at which something is recorded; the last is its end.
    """

    source: str
    begin: int
    looks: tuple[int, ...]

    @property
    def iterations(self) -> int:
        """How many are trained."""
        return self.looks[-1] - self.begin


@dataclass(frozen=True)
class Lacking:
    """What is to be recorded of a stored run.

    ``record``: what it lacks. ``accuracy_at`` and ``validation_at``: what of it is read from
    numbers that are stored. ``tested``: steps of the curve that need a test. ``measured_at``:
    iterations at which training accuracy is wanted. ``legs``: what is trained for the rest.
    """

    record: Record
    accuracy_at: Mapping[str, float]
    validation_at: Mapping[str, float]
    tested: tuple[int, ...]
    measured_at: tuple[int, ...]
    legs: tuple[Leg, ...]

    @property
    def iterations(self) -> int:
        """How many are trained again."""
        return sum(leg.iterations for leg in self.legs)


def lacking_of(found: Found, wanted: Record) -> Lacking:
    """What ``found`` lacks of ``wanted``."""
    missing = _difference(found.record, wanted)
    tests = {k: v for k, v in _read(found, "test").items() if int(k) in missing.accuracy_at}
    kept = _read(found, "validation").items()
    held_out = {k: v for k, v in kept if int(k) in missing.validation_at}
    tested = tuple(found.result.curve["steps"]) if missing.test_curve else ()
    measured = _measured_at(found, missing.measured)
    lost = found.result.status != "done"
    states = frozenset() if lost else missing.states
    targets = {k for k in missing.accuracy_at if str(k) not in tests}
    targets |= {k for k in missing.validation_at if str(k) not in held_out}
    targets |= {*tested, *measured, *states}
    if lost:
        targets = {k for k in targets if k <= (found.result.diverged_at or 0)}
    legs = tuple(_legs(found, sorted(targets), states))
    return Lacking(missing, tests, held_out, tested, measured, legs)


def least_lacking(copies: Iterable[Found], wanted: Record) -> tuple[Found, Lacking] | None:
    """The stored copy of a run that the fewest iterations have to be made of again."""
    sides = [(found, lacking_of(found, wanted)) for found in copies]
    return min(sides, key=lambda side: side[1].iterations, default=None)


def _difference(have: Record, wanted: Record) -> Record:
    return Record(
        wanted.accuracy_at - have.accuracy_at,
        wanted.states - have.states,
        wanted.test_curve and not have.test_curve,
        wanted.validation_at - have.validation_at,
        wanted.measured if wanted.measured > have.measured else 0,
    )


def _read(found: Found, split: str) -> dict[str, float]:
    """The accuracies of a split that are stored, by iteration."""
    curve = found.result.curve
    known = dict(zip(map(str, curve["steps"]), curve.get(f"{split}_accuracy", ()), strict=False))
    if split in found.result.final:
        known[str(found.run.end)] = found.result.final[split]
    return known


def _measured_at(found: Found, images: float) -> tuple[int, ...]:
    """Where training accuracy is wanted: at the stop and, unless the run diverged, at the end."""
    if not images:
        return ()
    at = {found.result.stop_iteration}
    at |= {found.run.end} if found.result.status == "done" else set()
    return tuple(sorted(step for step in at if step is not None))


def _legs(found: Found, targets: list[int], states: frozenset[int]) -> Iterator[Leg]:
    """What is trained to stand at the targets in turn, as little as possible."""
    run, leg = found.run, None
    stored = found.stored_steps if run.search is None else ()  # of a search: no scores, no way on
    for step in targets:
        if step == run.end and step not in states and _end_will_do(found):
            yield from () if leg is None else (leg,)
            leg = Leg(END, step, (step,))
            continue
        nearest = max((at for at in stored if at <= step), default=None)
        if leg is not None and (nearest is None or nearest <= leg.looks[-1]):
            leg = replace(leg, looks=(*leg.looks, step))
            continue
        yield from () if leg is None else (leg,)
        source = BEGIN if nearest is None else f"step-{nearest}"
        leg = Leg(source, run.begin if nearest is None else nearest, (step,))
    yield from () if leg is None else (leg,)


def _end_will_do(found: Found) -> bool:
    """Whether the end is stored as the network that is evaluated there."""
    return found.result.status == "done" and found.run.search is None
