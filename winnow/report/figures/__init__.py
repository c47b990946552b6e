"""Figures, drawn with matplotlib from plain values: the lines of `series`, the bands of `curves`.

``density_figures`` (a metric against density; a method beside its controls; accuracy at given
steps), ``method_panels`` (many methods), ``learning_curves``, ``view_figure`` (a view of a recipe),
``paper_figure`` (several, as a paper's figure has them). They share ``density_lines`` (what is
drawn on one pair of axes) and ``style`` (colours, markers, axes, PNG and SVG).
"""

from __future__ import annotations

from winnow.report.figures import style
from winnow.report.figures.density_figures import draw_controls, draw_density_figures, draw_steps
from winnow.report.figures.drawing import Drawing
from winnow.report.figures.learning_curves import draw_learning_curves
from winnow.report.figures.paper_figure import draw_paper_figure
from winnow.report.figures.view_figure import draw_view
from winnow.report.layouts import FigureLayout, layouts_of
from winnow.report.results import Results, compares
from winnow.report.views import views_of


def draw_views(results: Results) -> list[Drawing]:
    """The recipe's own figures that its rows and curves can fill; they show all lines together."""
    with style.paper():
        drawn = [_drawn(results, layout) for layout in layouts_of(views_of(results))]
    return [drawing for drawing in drawn if drawing is not None]


def _drawn(results: Results, layout: FigureLayout) -> Drawing | None:
    """A figure of a paper; a view of none is one for itself, named by its place."""
    if layout.figure:
        return draw_paper_figure(results, layout)
    return draw_view(results, layout.views[0], layout.number)


def draw_figures(results: Results) -> list[Drawing]:
    """All figures of one recipe, or of one of its lines, that its rows and curves can fill."""
    with style.paper():
        drawings: list[Drawing | None] = [*draw_density_figures(results)]
        if compares(results):
            drawings.append(draw_controls(results))
        else:
            drawings += [draw_steps(results), draw_learning_curves(results)]
    return [drawing for drawing in drawings if drawing is not None]
