"""Stages that follow each other, taken together for a few groups of a batch at a time.

What a stage leaves is still in the second-level cache when the next one reads it. A stage that
needs all of a batch (batch norm between its sums and its use) ends a segment.

Groups are shared out to lanes, which threads work on at once. How many lanes, and which groups each
has, follows from the network, its mask and the batch alone; so do sums, which each lane has for
itself: results do not depend on threads in any bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from winnow.engine.sparse_cpu.graph.stages import MOST_LANES, Pass, Stage
from winnow.engine.sparse_cpu.team import Team

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


def run_segments(plan: list[Segment], passes: list[Pass], team: Team) -> None:
    """All stages of all segments, in order, over the batch of the passes, one for each lane."""
    for segment in plan:
        whole, total = passes[0], passes[0].total
        if segment.stages[0].whole:
            whole.take(0, total)
            for stage in segment.stages:
                stage.run(whole)
            continue
        shares = lane_shares(total, segment.groups or total)
        lanes = zip(passes, shares, strict=False)
        team.run([partial(_run_lane, segment, now, *share) for now, share in lanes])


def lane_shares(total: int, together: int) -> list[tuple[int, int]]:
    """First group and number of groups of each lane, which takes up to ``together`` at a time."""
    lanes = min(MOST_LANES, -(-total // together))
    bounds = [lane * total // lanes for lane in range(lanes + 1)]
    return [(begin, end - begin) for begin, end in pairwise(bounds)]


def _run_lane(segment: Segment, now: Pass, first: int, groups: int) -> None:
    count = segment.groups or groups
    for begin in range(first, first + groups, count):
        now.take(begin, min(count, first + groups - begin), begins=begin == first)
        for stage in segment.stages:
            stage.run(now)
