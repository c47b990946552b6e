"""What a point of a comparison costs in epochs: all training and scoring that its run needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from winnow import criteria
from winnow.algorithms.search import make_search
from winnow.algorithms.search.method import SCORING_BATCH
from winnow.experiment.plan.replicate import Node, with_between
from winnow.experiment.plan.setting import Setting
from winnow.experiment.runs import Run


def with_costs(points: Sequence[Node], setting: Setting) -> list[Node]:
    """The points with what each costs, the dense training and others that it needs included."""
    runs = {point.run.id: point.run for point in with_between(points)}
    return [replace(point, cost=_cost(runs, point.run, setting)) for point in points]


def _cost(runs: Mapping[str, Run], run: Run, setting: Setting) -> float:
    reached = _reached(runs, run)
    return sum(
        (reached[i] - runs[i].begin) / setting.in_batches_of(runs[i].batch).per_epoch
        + _of_pruning(runs[i], setting.examples)
        + _of_search(runs[i], setting.examples)
        for i in sorted(reached)
    )


def _reached(runs: Mapping[str, Run], run: Run) -> dict[str, int]:
    """The run and all that it is made from → the iteration up to which each has to be trained."""
    reached: dict[str, int] = {}
    asked: list[tuple[str, int | None]] = [(run.id, None)]
    while asked:
        identity, step = asked.pop()
        needed = runs[identity]
        asked += needed.needs if identity not in reached else ()
        reached[identity] = max(reached.get(identity, 0), needed.end if step is None else step)
    return reached


def _of_pruning(run: Run, examples: int) -> float:
    """What deriving the run's mask, and its start, costs: passes over examples / all of them."""
    pruning = run.pruning
    if pruning is None:
        return 0.0
    passes = criteria.traits_of(criteria.get_criterion(pruning.criterion)).passes * pruning.rounds
    passes += pruning.rounds if run.start.is_operated else 0
    return passes * _seen(run, examples) / examples


def _seen(run: Run, examples: int) -> float:
    """How many examples the run's criterion sees at once, of a training split of ``examples``."""
    assert run.pruning is not None
    seen = run.pruning.scoring
    return 1.0 if seen is None else seen.count(run.data.about.classes, examples)


def _of_search(run: Run, examples: int) -> float:
    """What scoring for the warm start of a search costs."""
    if run.search is None:
        return 0.0
    warm = make_search(run.search.name, **run.search.options).scored_by
    passes = criteria.traits_of(criteria.get_criterion(warm)).passes if warm else 0
    return passes * min(SCORING_BATCH, examples) / examples
