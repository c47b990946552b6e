"""What a slider over densities goes through: learning curves of single runs and their mean, the
densities of layers, histograms, and how much masks overlap.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from winnow.experiment.arms import DENSE
from winnow.report import wording
from winnow.report.results import Curve, Results, Row, is_dense
from winnow.report.statistics import same_density

CURVE_TITLES = {
    "test_accuracy": "Test accuracy (%)",
    "validation_accuracy": "Validation accuracy (%)",
    "validation_loss": "Validation loss",
    "training_loss": "Training loss",
    "test_loss": "Test loss",
}
MOST_STEPS = 60
"""Evaluations of one curve on the page; of more, every so many and the last."""
MOST_NUMBERS = 250_000
"""Numbers of curves on the page; of more, fewer single runs of each mean, beginning with the last
replicates.
"""
_SINGLES = 5


class _Placed(Protocol):
    @property
    def density_total(self) -> float: ...


@dataclass(frozen=True)
class ByRound:
    """``stops``: the densities in percent, from dense to sparse; every entry names its stop.

    ``metrics``: which curves there are. ``curves``: entries with ``arm``, ``line``, ``stop``,
    ``steps``, and by metric the ``mean`` and ``singles``. ``layers``: entries with layer names and
    densities. ``histograms``: entries of one analysis, layer and field. ``overlaps``: entries of
    pairs of arms. ``singles``: the most single runs of each mean that are there.
    """

    stops: tuple[float, ...]
    metrics: tuple[str, ...]
    curves: tuple[Mapping[str, Any], ...]
    layers: tuple[Mapping[str, Any], ...]
    histograms: tuple[Mapping[str, Any], ...]
    overlaps: tuple[Mapping[str, Any], ...]
    singles: int

    def dump(self) -> dict[str, Any]:
        """Plain values for the page's script."""
        return {
            "stops": [f"{wording.percent(stop / 100)} %" for stop in self.stops],
            "metrics": [{"name": name, "title": CURVE_TITLES[name]} for name in self.metrics],
            "curves": list(self.curves),
            "layers": list(self.layers),
            "histograms": list(self.histograms),
            "overlaps": list(self.overlaps),
        }


def by_round(results: Results, sizes: Mapping[str, Mapping[str, int]] | None = None) -> ByRound:
    """The stops of a slider and what stands at each.

    ``sizes``: run folder → weights of each of its layers, where they are known; layer densities
    are of those runs.
    """
    stops = _stops([row.density_total for row in results.rows if row.status == "done"])
    groups = _grouped(results, stops)
    metrics = tuple(name for name in CURVE_TITLES if _any_has(results.curves.values(), name))
    singles = _how_many(groups, len(metrics))
    return ByRound(
        tuple(100 * stop for stop in stops),
        metrics,
        tuple(_curves(results, groups, metrics, singles)),
        tuple(_layers(results, groups, sizes or {})),
        tuple(_histograms(results, stops)),
        tuple(_overlaps(results, stops)),
        singles,
    )


Groups = Mapping[tuple[int, str, str], list[Row]]
"""Stop, line, arm (``dense`` for dense networks) → finished runs."""


def _stops(densities: Iterable[float]) -> list[float]:
    """Densities that differ by more than rounding, from dense to sparse."""
    stops: list[float] = []
    for density in sorted(set(densities), reverse=True):
        if not stops or not same_density(stops[-1], density):
            stops.append(density)
    return stops


def _stop_of(one: _Placed, stops: Sequence[float]) -> int | None:
    near = [k for k, stop in enumerate(stops) if same_density(stop, one.density_total)]
    return min(near, key=lambda k: abs(stops[k] - one.density_total), default=None)


def _grouped(results: Results, stops: Sequence[float]) -> Groups:
    groups: defaultdict[tuple[int, str, str], list[Row]] = defaultdict(list)
    for row in results.rows:
        stop = _stop_of(row, stops)
        if row.status == "done" and stop is not None:
            groups[stop, row.line, DENSE if is_dense(row) else row.arm].append(row)
    return groups


def _any_has(curves: Iterable[Curve], metric: str) -> bool:
    return any(any(map(math.isfinite, getattr(curve, metric))) for curve in curves)


def _how_many(groups: Groups, metrics: int) -> int:
    """How many single runs of each mean the page has room for."""
    for singles in range(_SINGLES, 0, -1):
        numbers = sum(1 + min(len(rows), singles) for rows in groups.values())
        if numbers * metrics * MOST_STEPS <= MOST_NUMBERS:
            return singles
    return 0


def _curves(
    results: Results, groups: Groups, metrics: Sequence[str], singles: int
) -> Iterable[dict[str, Any]]:
    for (stop, line, arm), rows in groups.items():
        known = [results.curves[row.run] for row in rows if row.run in results.curves]
        steps = _shared_steps(known)
        if not steps:
            continue
        entry: dict[str, Any] = {"stop": stop, "line": line, "arm": arm, "steps": steps}
        for metric in metrics:
            values = [found for curve in known if (found := _at(curve, metric, steps))]
            if values:
                mean = [_mean(column) for column in zip(*values, strict=True)]
                entry[metric] = {"mean": mean, "singles": values[:singles]}
        yield entry


def _shared_steps(curves: Sequence[Curve]) -> list[int]:
    if not curves:
        return []
    steps = sorted(set.intersection(*(set(curve.steps) for curve in curves)))
    every = -(-len(steps) // MOST_STEPS) or 1
    return [step for k, step in enumerate(steps) if k % every == 0 or k == len(steps) - 1]


def _at(curve: Curve, metric: str, steps: Sequence[int]) -> list[float | None]:
    """The values at some steps, None where there is no number; empty where none was recorded."""
    values = getattr(curve, metric)
    if not values:
        return []
    known = dict(zip(curve.steps, values, strict=True))
    scale = 100 if "accuracy" in metric else 1
    return [_short(scale * known[step]) for step in steps]


def _short(number: float) -> float | None:
    return float(f"{number:.5g}") if math.isfinite(number) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _short(math.fsum(known) / len(known)) if len(known) == len(values) else None


def _layers(
    results: Results, groups: Groups, sizes: Mapping[str, Mapping[str, int]]
) -> Iterable[dict[str, Any]]:
    """Mean densities of layers in percent, of the layers whose size is known."""
    for (stop, line, arm), rows in groups.items():
        shares: defaultdict[str, list[float]] = defaultdict(list)
        for row in rows:
            known = sizes.get(row.run, {})
            details = results.details.get(row.run)
            for layer, kept in (details.kept if details else {}).items():
                if known.get(layer):
                    shares[layer].append(100 * kept / known[layer])
        if shares:
            densities = [_mean(values) for values in shares.values()]
            names = list(shares)
            yield {"stop": stop, "line": line, "arm": arm, "layers": names, "values": densities}


def _histograms(results: Results, stops: Sequence[float]) -> Iterable[dict[str, Any]]:
    """Of each analysis that has bins: the mean over replicates of each field, by bin."""
    groups: defaultdict[tuple[Any, ...], defaultdict[float, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for found in results.findings:
        stop = _stop_of(found, stops)
        for row in found.rows if stop is not None else ():
            for name, value in row.items():
                if "bin" in row and name not in ("bin", "layer") and value is not None:
                    arm = DENSE if found.round == 0 else found.arm
                    key = (stop, found.line, arm, found.key, row.get("layer", ""), name)
                    groups[key][row["bin"]].append(float(value))
    names = ("stop", "line", "arm", "of", "layer", "field")
    for key, bins in groups.items():
        places = sorted(bins)
        values = [_mean(bins[place]) for place in places]
        if any(values):
            entry = dict(zip(names, key, strict=True))
            yield {**entry, "bins": [_short(place) for place in places], "values": values}


def _overlaps(results: Results, stops: Sequence[float]) -> Iterable[dict[str, Any]]:
    """Of masks of two arms: mean agreement and Jaccard index, with their chance levels."""
    groups: defaultdict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for found in results.findings:
        stop = _stop_of(found, stops)
        if "jaccard" in found.whole and stop is not None:
            groups[stop, found.line, found.arm, found.against or found.arm].append(found.whole)
    fields = ("jaccard", "jaccard_chance", "agreement", "agreement_chance")
    for (stop, line, arm, other), rows in groups.items():
        means = {name: _mean([row.get(name) for row in rows]) for name in fields}
        yield {"stop": stop, "line": line, "arm": arm, "other": other, "n": len(rows), **means}
