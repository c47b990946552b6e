"""The entry of one's own method in a comparison: one query over rows (`entry_of`)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from winnow.report.contrasts import accuracy_metric
from winnow.report.entry.calls import Calls, Sweep, calls
from winnow.report.entry.pareto import CostPoint, dominating, pareto_front
from winnow.report.entry.strongest import calls_against_strongest, left_out, strongest
from winnow.report.results import Results, Row, compared_arms, is_dense
from winnow.report.statistics import value

ALWAYS = ("random", "magnitude")
"""Methods that every entry is compared with, where the comparison has them."""

_EQUAL = 1e-12  # accuracies are counts of images: equal means may differ in the last bit


@dataclass(frozen=True)
class Against:
    """The calls against a reference.

    ``role``: ``strongest`` of all, ``strongest at its cost`` (of those that cost at most as much),
    or ``fixed``. ``chosen``: of a strongest, which methods the other replicates chose.
    """

    reference: str
    role: str
    calls: Calls
    chosen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """Where a method stands: its mean accuracy over the replicates, and its rank, 1 the best."""

    accuracy: float
    rank: int
    of: int


@dataclass(frozen=True)
class Entry:
    """All that is said of one's own method.

    ``densities``: of all weights, dense to sparse. ``overall``: by the mean over densities; ``at``:
    by density, None where the method has no number. ``points``: method → accuracy and cost, of
    those that have both; ``front``: which of them nothing dominates; ``beaten_by``: what dominates
    this one. ``n``: its replicates with every density. ``asked``: the replicates of the recipe.
    ``lost``: its runs without a number. ``notes``: methods left out of what is overall.
    """

    name: str
    densities: tuple[float, ...]
    overall: Standing | None
    at: tuple[Standing | None, ...]
    against: tuple[Against, ...]
    points: Mapping[str, CostPoint]
    front: tuple[str, ...]
    beaten_by: tuple[str, ...]
    dense: CostPoint | None
    n: int
    asked: int
    lost: int
    notes: tuple[str, ...]


def entry_of(results: Results, name: str) -> Entry:
    """The entry of the arm ``name``. Raises ValueError without rows of it."""
    metric = accuracy_metric(results)
    methods = [arm.name for arm in compared_arms(results)]
    if name not in methods:
        raise ValueError(f"{results.name} has no rows of {name}")
    rounds = sorted({row.round for row in results.rows if row.arm == name})
    tables = {method: _accuracies(results, method, metric) for method in methods}
    sweeps = {method: _sweep(table, rounds) for method, table in tables.items()}
    whole = {method: sweep for method, sweep in sweeps.items() if sweep}
    others = {method: sweep for method, sweep in whole.items() if method != name}
    points = _points(results, whole)
    own = [row for row in results.rows if row.arm == name]
    means = {method: _grand(sweep) for method, sweep in whole.items()}
    return Entry(
        name=name,
        densities=tuple(_density(own, number) for number in rounds),
        overall=_standing(means, name),
        at=tuple(_standing(_means(tables, number), name) for number in rounds),
        against=_against(sweeps[name], others, points, name),
        points=points,
        front=pareto_front(points),
        beaten_by=dominating(points, name) if name in points else (),
        dense=_dense(results, metric),
        n=len(sweeps[name]),
        asked=int(results.recipe.get("replicates", len(sweeps[name]))),
        lost=sum(value(row, metric) is None for row in own),
        notes=tuple(
            f"{method} has no replicate with every density, and is left out of what is said of "
            "their mean."
            for method in methods
            if method not in whole
        ),
    )


def _against(
    own: Sweep, others: Mapping[str, Sweep], points: Mapping[str, CostPoint], name: str
) -> tuple[Against, ...]:
    """Against the strongest, the strongest at its cost where that is another one, and ALWAYS."""
    found = [_strongest(own, others, "strongest")]
    if name in points:
        most = points[name].cost * (1 + _EQUAL)
        cheap = {m: s for m, s in others.items() if m in points and points[m].cost <= most}
        if cheap and strongest(cheap) != strongest(others):
            found.append(_strongest(own, cheap, "strongest at its cost"))
    fixed = [(method, calls(own, others[method])) for method in ALWAYS if method in others]
    found += [Against(method, "fixed", said) for method, said in fixed if said]
    return tuple(one for one in found if one)


def _strongest(own: Sweep, others: Mapping[str, Sweep], role: str) -> Against | None:
    said = calls_against_strongest(own, others)
    if said is None:
        return None
    both = sorted(set(own).intersection(*others.values()))
    chosen = tuple(dict.fromkeys(left_out(others, both).values()))
    return Against(strongest(others), role, said, chosen)


_Table = Mapping[int, Mapping[int, float]]
"""Round → replicate → accuracy."""


def _accuracies(results: Results, arm: str, metric: str) -> dict[int, dict[int, float]]:
    """Round → replicate → the mean accuracy of its draws."""
    found: defaultdict[int, defaultdict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in results.rows:
        if row.arm == arm and (number := value(row, metric)) is not None:
            found[row.round][row.replicate].append(number)
    return {
        round_: {replicate: _mean(draws) for replicate, draws in sorted(by.items())}
        for round_, by in found.items()
    }


def _sweep(table: _Table, rounds: list[int]) -> dict[int, list[float]]:
    """The replicates that have a number at every density."""
    if any(number not in table for number in rounds):
        return {}
    whole = set(table[rounds[0]]).intersection(*(table[number] for number in rounds))
    return {r: [table[number][r] for number in rounds] for r in sorted(whole)}


def _means(
    tables: Mapping[str, Mapping[int, Mapping[int, float]]], number: int
) -> dict[str, float]:
    return {m: _mean(table[number].values()) for m, table in tables.items() if number in table}


def _standing(means: Mapping[str, float], name: str) -> Standing | None:
    if name not in means:
        return None
    better = sum(mean > means[name] + _EQUAL for mean in means.values())
    return Standing(means[name], better + 1, len(means))


def _points(results: Results, whole: Mapping[str, Sweep]) -> dict[str, CostPoint]:
    """Mean accuracy and mean cost over densities, of the methods that have both."""
    points = {}
    for method, sweep in whole.items():
        costs = [row.cost for row in results.rows if row.arm == method and row.cost is not None]
        if costs:
            points[method] = CostPoint(_grand(sweep), _mean(costs))
    return points


def _dense(results: Results, metric: str) -> CostPoint | None:
    rows = [row for row in results.rows if is_dense(row)]
    found = [number for row in rows if (number := value(row, metric)) is not None]
    costs = [row.cost for row in rows if row.cost is not None]
    return CostPoint(_mean(found), _mean(costs)) if found and costs else None


def _density(rows: list[Row], number: int) -> float:
    return _mean([row.density_total for row in rows if row.round == number])


def _grand(sweep: Sweep) -> float:
    return _mean([_mean(values) for values in sweep.values()])


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)
