"""The figure of many methods: a panel for each kind of method, with the same axes in all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from winnow.report import lines, style
from winnow.report.comparison import methods_of
from winnow.report.results import Results, methods, owner
from winnow.report.statistics import points, same_density

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 7
"""Methods in one panel; with more, a comparison has several."""

_PANEL = (4.3, 3.3)  # inches
_WIDTH = 1.07  # how many times too dense the first line stands, at most
_TITLES = {
    "at initialisation": "Pruned at initialisation",
    "fine-tuned": "Pruned after training",
    "iterative": "Pruned after training",
    "one-shot": "Pruned after training",
    "dynamic": "Masks that change in training",
    "mask search": "Masks that are searched",
}


def random_of(results: Results) -> str | None:
    """The arm of random masks that every panel shows beside its methods; None without one."""
    present = methods_of(results)
    found = [arm for arm, name in methods(results).items() if name == "random" and arm in present]
    return found[0] if found else None


def caption(results: Results) -> str:
    """What a reader of the panels must know."""
    random = random_of(results)
    grey = f", with {random} in grey in each" if random else ""
    return (
        f"A panel for each kind of method{grey}. Lines of one panel are set apart sideways, so "
        "that their bars can be seen."
    )


def shown(results: Results, metric: str) -> list[str]:
    """The methods that have anything to show."""
    return [arm for arm in methods_of(results) if points(results.rows, arm, metric)]


def groups(results: Results, arms: Sequence[str]) -> dict[str, list[str]]:
    """The panels: title → arms, in the recipe's order; at most MOST in each.

    Criteria that the catalogue does not know prune at initialisation. Random masks stand in no
    group, as they stand in every panel.
    """
    found: dict[str, list[str]] = {title: [] for title in _TITLES.values()}
    for arm in arms:
        if arm != random_of(results):
            found[_title(results, arm)].append(arm)
    return {title: part for kind, inside in found.items() for title, part in _parts(kind, inside)}


def draw(results: Results, metric: str, label: str) -> Figure:
    """A panel for each group, two in a row, with dense and random masks in all."""
    from matplotlib.figure import Figure

    found = groups(results, shown(results, metric))
    columns, rows = min(len(found), 2), ceil(len(found) / 2)
    figure = Figure(figsize=(columns * _PANEL[0], rows * _PANEL[1]), layout="constrained")
    panels = [figure.add_subplot(rows, columns, place + 1) for place in range(len(found))]
    means: list[float] = []
    for axes, (title, inside) in zip(panels, found.items(), strict=True):
        means += _panel(axes, results, metric, inside)
        axes.set_title(title)
    style.accuracy_axis(panels, means)
    totals = [row.density_total for row in results.rows if row.arm in shown(results, metric)]
    for place, axes in enumerate(panels):
        style.density_axis(axes, totals, totals)
        _legend(axes)
        if place % columns == 0:
            axes.set_ylabel(label)
        if place + columns < len(panels):
            axes.set_xlabel("")
    return figure


def _panel(axes: Axes, results: Results, metric: str, inside: Sequence[str]) -> list[float]:
    """The lines of a group and those to compare them with; every mean, as on the axis."""
    looks = dict(zip(inside, style.PANEL, strict=False))
    own = {arm: arm for arm in inside}
    means = lines.draw(axes, results, metric, own, looks, _width(results))
    random = random_of(results)
    return means + (lines.reference_line(axes, results, metric, random) if random else [])


def _title(results: Results, arm: str) -> str:
    from winnow.algorithms.catalogue import METHODS  # late: it loads torch

    named = methods(results)
    entry = METHODS.get(named.get(owner(arm, named) or "", ""))
    return _TITLES[entry.kind if entry else "at initialisation"]


def _parts(title: str, inside: Sequence[str]) -> list[tuple[str, list[str]]]:
    """A group that is too large, in parts of about the same size."""
    count = ceil(len(inside) / MOST)
    if count < 2:
        return [(title, list(inside))] if inside else []
    size = ceil(len(inside) / count)
    return [
        (f"{title} ({k + 1} of {count})", list(inside[k * size : (k + 1) * size]))
        for k in range(count)
    ]


def _width(results: Results) -> float:
    """How far lines are set apart: little beside the steps from density to density."""
    densities = sorted({row.density_total for row in results.rows})
    steps = [more / less for less, more in pairwise(densities) if not same_density(less, more)]
    return float(min(_WIDTH, min(steps, default=_WIDTH) ** 0.25))


def _legend(axes: Axes) -> None:
    """Inside, where hardly a line goes: accuracies fall to the right."""
    handles, labels = axes.get_legend_handles_labels()
    plain = [handle[0] if isinstance(handle, tuple) else handle for handle in handles]
    axes.legend(
        plain,
        labels,
        loc="lower left",
        labelspacing=0.3,
        frameon=True,
        edgecolor="none",
        framealpha=0.75,
        borderaxespad=0.2,
    )
