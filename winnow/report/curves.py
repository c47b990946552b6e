"""Learning curves as in figure 3 of Frankle & Carbin 2019: accuracy against iteration.

Three panels: the first rounds, the later rounds, and the first rounds against random
reinitialisation. Each shows the dense network too.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow.report import style, wording
from winnow.report.drawing import Drawing
from winnow.report.results import TICKET, Curve, Results, Row, has_early_stopping
from winnow.report.statistics import points, summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONTROL = "reinit"
_EARLY = (0.513, 0.211)  # the densities that the paper shows
_LATE = (0.070, 0.036, 0.019)
_NEAR = math.log(1.15)  # rounds of 20 % are 1.25 apart, so one of them is at most 1.12 away
_BARS = 12  # bars on one line


@dataclass(frozen=True)
class Band:
    """One line: steps, the mean over replicates, the lowest and the highest single run."""

    arm: str
    round: int
    density_total: float
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def draw(results: Results) -> Drawing | None:
    """The learning curves; None when no dense run has a curve."""
    panels = choose(results)
    if not panels:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.0 + 3.3 * len(panels), 3.4), layout="constrained")
    shades = _shades([band for bands in panels.values() for band in bands])
    last = _last_step(results, [band for bands in panels.values() for band in bands])
    shown = None
    for place, (title, bands) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), place + 1, sharey=shown, sharex=shown)
        shown = shown or axes
        _panel(axes, title, bands, shades, last)
    assert shown is not None
    _limits(shown, [band for bands in panels.values() for band in bands], last)
    shown.set_ylabel(f"{'Test' if _tested(results) else 'Validation'} accuracy (%)")
    png, svg = style.rendered(figure)
    return Drawing("learning-curves", _caption(results), png, svg, wide=len(panels) > 1)


def choose(results: Results) -> dict[str, tuple[Band, ...]]:
    """Panels by title, dense first in each; a panel that has nothing but dense is left out."""
    dense = band(results, TICKET, 0)
    if dense is None:
        return {}
    early = _rounds_near(results, _EARLY) or _halfway(results)
    late = [one for one in _rounds_near(results, _LATE) or _last(results) if one not in early]
    panels = {
        "First rounds": [band(results, TICKET, one) for one in early],
        "Later rounds": [band(results, TICKET, one) for one in late],
        "Against reinitialisation": [
            band(results, arm, one) for one in early for arm in (TICKET, CONTROL)
        ],
    }
    found = {name: [one for one in bands if one is not None] for name, bands in panels.items()}
    if not any(one.arm == CONTROL for one in found["Against reinitialisation"]):
        del found["Against reinitialisation"]
    kept = {name: (dense, *bands) for name, bands in found.items() if bands}
    return kept or {"Dense": (dense,)}


def band(results: Results, arm: str, number: int) -> Band | None:
    """The curves of one arm and round, brought together at the steps that all of them have.

    Draws are averaged within a replicate first, as everywhere. None without a finished run that
    has a curve.
    """
    rows = [row for row in results.rows if (row.arm, row.round) == (arm, number)]
    rows = [row for row in rows if row.status == "done" and row.run in results.curves]
    if not rows:
        return None
    series = [(row, _at_steps(results.curves[row.run], _tested(results))) for row in rows]
    steps = sorted(set.intersection(*(set(values) for _, values in series)))
    if not steps:
        return None
    single = [[values[step] for _, values in series] for step in steps]
    return Band(
        arm=arm,
        round=number,
        density_total=sum(row.density_total for row in rows) / len(rows),
        steps=tuple(steps),
        mean=tuple(_replicate_mean(series, step) for step in steps),
        low=tuple(min(values) for values in single),
        high=tuple(max(values) for values in single),
    )


def _replicate_mean(series: Sequence[tuple[Row, Mapping[int, float]]], step: int) -> float:
    draws: defaultdict[int, list[float]] = defaultdict(list)
    for row, values in series:
        draws[row.replicate].append(values[step])
    means = [sum(values) / len(values) for values in draws.values()]
    return sum(means) / len(means)


def _at_steps(curve: Curve, tested: bool) -> dict[int, float]:
    values = curve.test_accuracy if tested else curve.validation_accuracy
    return dict(zip(curve.steps, values, strict=True)) if values else {}


def _tested(results: Results) -> bool:
    """Whether test accuracy can be shown: validation accuracy stands in where any lacks it."""
    done = [row.run for row in results.rows if row.status == "done"]
    found = [results.curves[run] for run in done if run in results.curves]
    return bool(found) and all(curve.test_accuracy for curve in found)


def _rounds_near(results: Results, targets: Sequence[float]) -> list[int]:
    rounds = _sparse_rounds(results)
    found = []
    for target in targets:
        near = {
            number: abs(math.log(density / target))
            for number, density in rounds.items()
            if abs(math.log(density / target)) <= _NEAR
        }
        if near:
            found.append(min(near, key=lambda number: near[number]))
    return sorted(set(found))


def _halfway(results: Results) -> list[int]:
    """Where no density of the paper was trained: the round in the middle."""
    rounds = sorted(_sparse_rounds(results))
    return rounds[(len(rounds) - 1) // 2 :][:1]


def _last(results: Results) -> list[int]:
    return sorted(_sparse_rounds(results))[-1:]


def _sparse_rounds(results: Results) -> dict[int, float]:
    """Density by round, of the rounds of tickets that have curves."""
    densities: dict[int, float] = {}
    for row in results.rows:
        if row.arm == TICKET and row.round and row.status == "done" and row.run in results.curves:
            densities.setdefault(row.round, row.density_total)
    return densities


def _shades(bands: Sequence[Band]) -> dict[int, str]:
    """A colour for each round, the same in all panels; arms differ by their dash."""
    rounds = sorted({one.round for one in bands})
    return {number: style.SHADES[place % len(style.SHADES)] for place, number in enumerate(rounds)}


def _last_step(results: Results, bands: Sequence[Band]) -> int:
    """Where the axis ends: past the early stopping of all lines, after which little happens."""
    end = max(one.steps[-1] for one in bands)
    if not has_early_stopping(results):
        return end
    stops = []
    for one in bands:
        rows = [row for row in results.rows if (row.arm, row.round) == (one.arm, one.round)]
        summary = summarize(rows, "stop_iteration")
        stops.append(summary.maximum if summary else end)
    return min(end, math.ceil(1.3 * max(stops)))


def _panel(
    axes: Axes, title: str, bands: Sequence[Band], shades: Mapping[int, str], last: int
) -> None:
    from matplotlib.ticker import MaxNLocator

    for place, one in enumerate(bands):
        kept = [index for index, step in enumerate(one.steps) if step <= last]
        every = max(len(kept) // _BARS, 1)
        mean = [100 * one.mean[index] for index in kept]
        axes.errorbar(
            [one.steps[index] for index in kept],
            mean,
            yerr=_bars(one, kept),
            errorevery=(place * every // len(bands), every),
            color=shades[one.round],
            linestyle="--" if one.arm == CONTROL else "-",
            elinewidth=0.7,
            capsize=1.2,
            label=_label(one),
        )
    axes.set_title(title)
    axes.set_xlabel("Training iteration")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.legend(loc="lower right")


def _bars(one: Band, kept: Sequence[int]) -> list[list[float]] | None:
    """Lengths of the bars down and up, in points; None for a single run."""
    if one.low == one.high:
        return None
    return [
        [max(100 * (one.mean[index] - one.low[index]), 0) for index in kept],
        [max(100 * (one.high[index] - one.mean[index]), 0) for index in kept],
    ]


def _label(one: Band) -> str:
    density = f"{wording.percent(one.density_total)} %"
    return density if one.arm == TICKET else f"{density} {one.arm}"


def _limits(axes: Axes, bands: Sequence[Band], last: int) -> None:
    """Leave out the climb from chance level, in which the lines cannot be told apart."""
    late = [
        value
        for one in bands
        for step, value in zip(one.steps, one.mean, strict=True)
        if 0.2 * last <= step <= last
    ]
    top = max(max(one.high) for one in bands)
    bottom = min(late, default=min(min(one.low) for one in bands))
    margin = max(0.1 * (top - bottom), 0.002)
    axes.set_ylim(100 * (bottom - margin), 100 * min(top + margin, 1.002))
    axes.set_xlim(0, last)


def _caption(results: Results) -> str:
    kind = "Test" if _tested(results) else "Validation"
    counted = points(results.rows, TICKET, "final_test_accuracy")
    n = max((point.summary.n for point in counted), default=1)
    spread = ", bars go from the lowest to the highest single run" if n > 1 else ""
    return (
        f"{kind} accuracy during training, for some densities (density_total; 100 % is dense). "
        f"Lines are means over {wording.plural(n, 'replicate')}{spread}. The climb from chance "
        "level lies below the axis."
    )
