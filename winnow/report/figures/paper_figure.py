"""A figure laid out as the paper's own: its panels in rows, with letters and one legend."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from winnow.experiment.expected import slug_of
from winnow.experiment.recipe.items import ITEMS
from winnow.experiment.recipe.views import EPOCH, ITERATION, View
from winnow.report.figures import style
from winnow.report.figures.axes import legend_above
from winnow.report.figures.drawing import Drawing
from winnow.report.figures.view_figure import draw_view_panel, looks_of, spread_in_words
from winnow.report.layouts import FigureLayout, columns_of, letters
from winnow.report.results import Results
from winnow.report.view_axes import metric_label
from winnow.report.views import ViewPanel, view_panels, with_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = (3.7, 2.9)  # inches
_ALONE = (5.2, 3.6)
_TITLE = 46  # letters in a line of a title


def draw_paper_figure(results: Results, layout: FigureLayout) -> Drawing | None:
    """The figure; None while nothing of it is finished. Panels without a number yet are left out,
    and the others keep their letters.

    Panels of one metric share their axis of it. Raises UserError: a view names what there is not.
    """
    panels = _panels(results, layout)
    if not panels:
        return None
    views = [view for view, _ in panels]
    figure, every = _figure(views)
    looks = looks_of([series for _, panel in panels for series in panel.series])
    marks = letters(views)
    for axes, (view, panel), mark in zip(every, panels, marks, strict=True):
        draw_view_panel(axes, results, view, panel, looks)
        _entitle(axes, view, panel, mark)
    for k, axes in enumerate(every):
        if k % columns_of(views) == 0 or views[k].of != views[k - 1].of:
            axes.set_ylabel(metric_label(views[k].of))
    for metric in dict.fromkeys(view.of for view in views if view.against in (ITERATION, EPOCH)):
        same = [(one, panels[k][1]) for k, one in enumerate(every) if views[k].of == metric]
        _limit_to_later(same, accuracy="accuracy" in metric)
    legend_above(figure, every)
    png, svg = style.rendered(figure)
    caption = _caption(results, layout, list(zip(marks, panels, strict=True)))
    return Drawing(slug_of(layout.figure), caption, png, svg, len(panels) > 1, layout.figure)


def _panels(results: Results, layout: FigureLayout) -> list[tuple[View, ViewPanel]]:
    """All panels with their views; a series has the same label in all of them."""
    found = [(view, panel) for view in layout.views for panel in view_panels(results, view)]
    every = iter(with_labels([series for _, panel in found for series in panel.series]))
    return [
        (view, ViewPanel(panel.title, tuple(next(every) for _ in panel.series)))
        for view, panel in found
    ]


def _figure(views: Sequence[View]) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    columns = columns_of(views)
    rows = ceil(len(views) / columns)
    size = _ALONE if len(views) == 1 else (columns * _PANEL[0], rows * _PANEL[1] + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    first: dict[tuple[str, bool], Axes] = {}
    every: list[Axes] = []
    for place, view in enumerate(views, 1):
        metric = (view.of, view.log)
        axes = figure.add_subplot(rows, columns, place, sharey=first.get(metric))
        first.setdefault(metric, axes)
        every.append(axes)
    return figure, every


def _entitle(axes: Axes, view: View, panel: ViewPanel, letter: str) -> None:
    """The view's title over each panel, and the panel's own; its letter in bold before them."""
    words = f"{view.title}: {panel.title}" if panel.title else view.title
    axes.set_title(textwrap.fill(words, _TITLE))
    if letter:
        axes.set_title(letter, loc="left", fontweight="bold")


def _limit_to_later(same: Sequence[tuple[Axes, ViewPanel]], *, accuracy: bool) -> None:
    """Limits that leave out how networks begin, as the papers' do: what lies outside in the first
    tenth of training runs off the axes, that curves can be told apart.
    """
    points = [p for _, panel in same for series in panel.series for p in series.points]
    begin = max(point.x for point in points) / 10
    means = [p.summary.mean * (100 if accuracy else 1) for p in points if p.x >= begin]
    low, high = min(means), max(means)
    margin = 0.08 * (high - low) or 1.0
    for axes, _ in same:
        axes.set_ylim(low - margin, high + margin)
        axes.locator_params(axis="x", nbins=5)


def _caption(
    results: Results, layout: FigureLayout, panels: Sequence[tuple[str, tuple[View, ViewPanel]]]
) -> str:
    number = layout.figure.partition("/")[2]
    paper = str(results.recipe.get("source", "")).partition(",")[0]
    said = ITEMS[layout.figure].title if layout.figure in ITEMS else layout.views[0].title
    shown = spread_in_words(results, [panel for _, (_, panel) in panels])
    timed = any(view.against in (ITERATION, EPOCH) for _, (view, _) in panels)
    cut = " The first tenth of training may lie outside." if timed else ""
    return f"Figure {number}{f' of {paper}' if paper else ''}. {said}. {shown}{cut}"
