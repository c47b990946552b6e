"""Views, as plain values: the series that a recipe's own figures show, gathered in panels."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from winnow.errors import unknown
from winnow.experiment.arms import DENSE, TICKET, Arm
from winnow.experiment.recipe.scales import FULL
from winnow.experiment.recipe.views import (
    BIN,
    EPOCH,
    ITERATION,
    LAYER,
    OF_A_FINDING,
    OF_A_RUN,
    View,
)
from winnow.report import wording
from winnow.report.results import Finding, Results, Row, by_line
from winnow.report.samples import Sample, column_samples
from winnow.report.statistics import Summary, summary_of
from winnow.report.view_axes import as_number, at_dotted, per_epoch_of, place_of


class Place(Protocol):
    """What a run, a number of it, and a finding have in common: where it stands."""

    @property
    def arm(self) -> str: ...

    @property
    def round(self) -> int: ...

    @property
    def density_total(self) -> float: ...


PlaceT = TypeVar("PlaceT", bound=Place)


@dataclass(frozen=True)
class ViewPoint:
    """The metric of some runs at one place of the axis.

    ``round`` and ``line`` say which runs, with the arm of the series; None of curves and findings,
    whose series has a density instead.
    """

    x: float
    summary: Summary
    round: int | None = None
    line: str = ""


@dataclass(frozen=True)
class ViewSeries:
    """A line of a figure: ``line`` of the recipe (empty without), ``arm``, and where it is drawn at
    one density, that in percent. The label is all that tells it from others of its panel.
    """

    label: str
    line: str
    arm: Arm
    density: float | None
    points: tuple[ViewPoint, ...]


@dataclass(frozen=True)
class ViewPanel:
    """What one pair of axes shows."""

    title: str
    series: tuple[ViewSeries, ...]


def views_of(results: Results) -> tuple[View, ...]:
    """The views of a recipe."""
    return tuple(View.model_validate(plain) for plain in results.recipe.get("views", ()))


def view_panels(results: Results, view: View) -> tuple[ViewPanel, ...]:
    """The panels of a view, without series that have no number yet.

    Raises UserError: an arm, a line, a metric or a key that there is not.
    """
    shown = [series for part in _lines(results, view) for series in _of_line(part, view)]
    series = _along_lines(shown, view) if _is_key(view) else shown
    groups: dict[str, list[ViewSeries]] = {}
    for one in series:
        if one.points:
            groups.setdefault(_panel(one, view), []).append(one)
    return tuple(ViewPanel(title, with_labels(group)) for title, group in groups.items())


def _is_key(view: View) -> bool:
    return view.against not in (*OF_A_RUN, *OF_A_FINDING, ITERATION, EPOCH)


def _lines(results: Results, view: View) -> list[Results]:
    there = list(results.recipe.get("lines") or ())
    whole = results.recipe.get("scale", FULL) == FULL  # another scale may leave lines out
    for line in view.lines:
        if whole and line not in there:
            raise unknown("line", line, there, f"The view {view.title!r} names it")
    return [part for part in by_line(results) if not view.lines or part.line in view.lines]


def _of_line(results: Results, view: View) -> list[ViewSeries]:
    """The series of one line: of each arm, or of each arm and density."""
    dense = Arm(DENSE, TICKET.kind)
    arms = {arm.name: arm for arm in results.arms} | {DENSE: dense}
    for name in view.arms:
        if name not in arms and not view.lines and not results.line:
            raise unknown("arm", name, list(arms), f"The view {view.title!r} names it")
    shown = view.arms or [arm.name for arm in results.arms]
    names = [name for name in shown if name in arms]
    return [
        ViewSeries("", results.line, arms[name], density, points)
        for name in names
        for density, points in _drawn(results, name, view)
    ]


def _drawn(
    results: Results, name: str, view: View
) -> Iterator[tuple[float | None, tuple[ViewPoint, ...]]]:
    """The points of an arm; of each density where several make several series."""
    whole = results.recipe.get("scale", FULL) == FULL
    far = _FAR if whole else math.inf  # other scales may train other densities
    wanted = (100.0,) if name == DENSE else view.densities  # there is no other dense network
    if view.against in OF_A_RUN:
        own = [one for one in _samples(results, view) if _stands_for(one, name, view)]
        yield None, _points(own, view)
    elif view.against in (ITERATION, EPOCH):
        rows = [row for row in results.rows if _stands_for(row, name, view)]
        for density, trained in _near(results.rows, rows, wanted, far):
            yield density, _curve_points(results, trained, view)
    elif view.against in OF_A_FINDING:
        key, _, field = view.of.partition(".")
        every = [found for found in results.findings if found.key == key]
        found = [one for one in every if _stands_for(one, name, view)]
        for density, chosen in _near(every, found, wanted, far):
            yield density, _finding_points(chosen, field, view)
    else:
        samples = _samples(results, view)
        own = [one for one in samples if _stands_for(one, name, view)]
        for density, few in _near(samples, own, wanted, far):
            yield density, _at_key(results, few, view)


def _samples(results: Results, view: View) -> Sequence[Sample]:
    """The metric of every run, those without it left out. UserError: there is no such metric."""
    return [one for one in column_samples(results, view.of) if one.value is not None]


def _finding_points(findings: Sequence[Finding], field: str, view: View) -> tuple[ViewPoint, ...]:
    """A point for each layer, by its number from the first, or for each bin of a histogram, of the
    layer that ``field:LAYER`` names or over all.
    """
    field, _, layer = field.partition(":")
    values: defaultdict[float, list[tuple[int, float | None]]] = defaultdict(list)
    for found in findings:
        rows = [row for row in found.rows if view.against in row]
        rows = [row for row in rows if not layer or row.get("layer") == layer]
        for number, row in enumerate(rows, 1):
            place = float(number) if view.against == LAYER else float(row[BIN])
            values[place].append((found.replicate, row.get(field)))
    summaries = {place: summary_of(some) for place, some in sorted(values.items())}
    return tuple(ViewPoint(place, s) for place, s in summaries.items() if s is not None)


def _stands_for(run: Place, name: str, view: View) -> bool:
    """Whether a run belongs to an arm. Tickets begin at the dense network, where it is not shown
    for itself.
    """
    if run.round == 0:
        return name == DENSE or (name == TICKET.name and DENSE not in view.arms)
    return run.arm == name


def _points(samples: Iterable[Sample], view: View) -> tuple[ViewPoint, ...]:
    """A point for each round."""
    rounds: defaultdict[int, list[Sample]] = defaultdict(list)
    for one in samples:
        rounds[one.round].append(one)
    made = []
    for number, members in rounds.items():
        summary = summary_of((one.replicate, one.value) for one in members)
        if summary is not None:
            places = [place_of(one, view.against) for one in members]
            x, line = sum(places) / len(places), members[0].line
            made.append(ViewPoint(x, summary, number, line))
    return tuple(made)


def _near(
    every: Sequence[PlaceT], own: Sequence[PlaceT], densities: Sequence[float], far: float
) -> list[tuple[float, list[PlaceT]]]:
    """For each density in percent: of an arm's ``own`` runs those of the trained density nearest to
    it, in the log, of whatever arm; with that density in percent. Nothing where it has no such run,
    or where none was trained as near as ``far``.
    """
    trained = [100 * run.density_total for run in every if run.density_total > 0]
    found: dict[float, list[PlaceT]] = {}
    for wanted in densities if trained else ():
        nearest = min(trained, key=_farness(wanted))
        if _farness(wanted)(nearest) > far:
            continue
        same = [run for run in own if _farness(nearest)(100 * run.density_total) < _THE_SAME]
        if same:
            found.setdefault(100 * same[0].density_total, same)
    return list(found.items())


_FAR = math.log(1.5)  # rounds that remove a half are 2 apart: one of them is nearer than that
_THE_SAME = math.log(1.05)  # masks pruned at once and round by round differ by rounding


def _curve_points(results: Results, rows: Sequence[Row], view: View) -> tuple[ViewPoint, ...]:
    """A point for each evaluation that all of the runs made."""
    scale = 1.0 / per_epoch_of(results) if view.against == EPOCH else 1.0
    done = [row for row in rows if row.status == "done" and row.run in results.curves]
    series = []
    for row in done:
        curve = results.curves[row.run]
        values = getattr(curve, view.of)
        if values:
            series.append((row.replicate, dict(zip(curve.steps, values, strict=True))))
    if not series:
        return ()
    steps = sorted(set.intersection(*(set(values) for _, values in series)))
    made = []
    for step in steps:
        summary = summary_of((replicate, values[step]) for replicate, values in series)
        if summary is not None:
            made.append(ViewPoint(step * scale, summary))
    return tuple(made)


def _at_key(results: Results, samples: Sequence[Sample], view: View) -> tuple[ViewPoint, ...]:
    """The point of a line: where its value of the key stands."""
    x = as_number(at_dotted(results.recipe, view.against), view, results)
    summary = summary_of((one.replicate, one.value) for one in samples)
    if summary is None:
        return ()
    return (ViewPoint(x, summary, samples[0].round, samples[0].line),)


def _along_lines(series: Sequence[ViewSeries], view: View) -> list[ViewSeries]:
    """Where a key is the axis: one series for each arm and density, its points those of lines.

    ``view.densities`` may be trained a little differently in each line, so that the wanted one
    tells them apart.
    """
    joined: dict[tuple[str, float], list[ViewSeries]] = {}
    for one in series:
        assert one.density is not None
        near = min(view.densities, key=_farness(one.density))
        wanted = one.density if one.arm.name == DENSE else near
        joined.setdefault((one.arm.name, wanted), []).append(one)
    return [
        ViewSeries(
            "",
            "",
            members[0].arm,
            density,
            tuple(sorted((p for m in members for p in m.points), key=lambda p: p.x)),
        )
        for (_, density), members in joined.items()
    ]


def _farness(density: float) -> Callable[[float], float]:
    return lambda other: abs(math.log(other / density))


def _panel(series: ViewSeries, view: View) -> str:
    return {
        "one": "",
        "line": series.line,
        "arm": series.arm.name,
        "density": "" if series.density is None else f"{wording.percent(series.density / 100)} %",
    }[view.panels]


def with_labels(group: Sequence[ViewSeries]) -> tuple[ViewSeries, ...]:
    """The series of a panel or of several, each with a label of what differs between them."""
    facets = [
        (s.line, s.arm.name, "" if s.density is None else f"{wording.percent(s.density / 100)} %")
        for s in group
    ]
    differing = [k for k in range(3) if len({facet[k] for facet in facets}) > 1] or [1]
    return tuple(
        ViewSeries(
            ", ".join(facet[k] for k in differing if facet[k]) or facet[1],
            one.line,
            one.arm,
            one.density,
            one.points,
        )
        for one, facet in zip(group, facets, strict=True)
    )
