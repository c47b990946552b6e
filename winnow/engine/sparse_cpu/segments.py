"""Steps that follow each other, taken together for a few groups of a batch at a time.

What a step leaves is still in the second-level cache when the next one reads it. A step that needs
all of a batch (batch norm between its sums and its use) ends a segment.
"""

from __future__ import annotations

from dataclasses import dataclass

from winnow.engine.sparse_cpu.values import Pass, Step

_CACHE = 1 << 18  # floats of a second-level cache


@dataclass(frozen=True)
class Segment:
    """Steps and how many groups they take at a time; 0 for all."""

    steps: tuple[Step, ...]
    groups: int


def segments(steps: list[Step]) -> list[Segment]:
    """The steps in segments. Consecutive steps with whole batches share one."""
    found: list[list[Step]] = []
    for step in steps:
        if not found or found[-1][-1].whole != step.whole:
            found.append([])
        found[-1].append(step)
    return [Segment(tuple(some), _groups(some)) for some in found]


def _groups(steps: list[Step]) -> int:
    """A cache full, or so many that what every step touches anyway is worth it."""
    if steps[0].whole or any(step.group == 0 for step in steps):
        return 0
    least = max(_CACHE, *(step.fixed for step in steps))
    return -(-least // max(step.group for step in steps))


def run(plan: list[Segment], now: Pass) -> None:
    """All steps of all segments, in order, over the batch of a pass."""
    for segment in plan:
        count = segment.groups or now.total
        for first in range(0, now.total, count):
            now.take(first, count)
            for step in segment.steps:
                step.run(now)
