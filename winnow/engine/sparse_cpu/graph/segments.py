"""Stages that follow each other, taken together for a few groups of a batch at a time.

What a stage leaves is still in the second-level cache when the next one reads it. A stage that
needs all of a batch (batch norm between its sums and its use) ends a segment.
"""

from __future__ import annotations

from dataclasses import dataclass

from winnow.engine.sparse_cpu.graph.stages import Pass, Stage

_CACHE = 1 << 18  # floats of a second-level cache


@dataclass(frozen=True)
class Segment:
    """Stages and how many groups they take at a time; 0 for all."""

    stages: tuple[Stage, ...]
    groups: int


def segments(stages: list[Stage]) -> list[Segment]:
    """The stages in segments. Consecutive stages with whole batches share one."""
    runs: list[list[Stage]] = []
    for stage in stages:
        if not runs or runs[-1][-1].whole != stage.whole:
            runs.append([])
        runs[-1].append(stage)
    return [Segment(tuple(run), _groups(run)) for run in runs]


def _groups(stages: list[Stage]) -> int:
    """A cache full, or so many that what every stage touches anyway is worth it."""
    if stages[0].whole or any(stage.group == 0 for stage in stages):
        return 0
    least = max(_CACHE, *(stage.fixed for stage in stages))
    return -(-least // max(stage.group for stage in stages))


def run_segments(plan: list[Segment], now: Pass) -> None:
    """All stages of all segments, in order, over the batch of a pass."""
    for segment in plan:
        count = segment.groups or now.total
        for first in range(0, now.total, count):
            now.take(first, count)
            for stage in segment.stages:
                stage.run(now)
