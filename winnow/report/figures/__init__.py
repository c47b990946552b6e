"""Figures, drawn with matplotlib from plain values: the lines of `series`, the bands of `curves`.

``density_figures`` (a metric against density; a method beside its controls; accuracy at given
steps), ``method_panels`` (many methods), ``learning_curves``. They share ``density_lines`` (what is
drawn on one pair of axes) and ``style`` (colours, markers, axes, PNG and SVG).
"""

from __future__ import annotations

from winnow.report.figures import style
from winnow.report.figures.density_figures import draw_controls, draw_density_figures, draw_steps
from winnow.report.figures.drawing import Drawing
from winnow.report.figures.learning_curves import draw_learning_curves
from winnow.report.figures.view_figure import draw_view
from winnow.report.results import Results, compares
from winnow.report.views import views_of


def draw_views(results: Results) -> list[Drawing]:
    """The recipe's own figures that its rows and curves can fill; they show all lines together."""
    with style.paper():
        drawn = [draw_view(results, view, k) for k, view in enumerate(views_of(results), 1)]
    return [drawing for drawing in drawn if drawing is not None]


def draw_figures(results: Results) -> list[Drawing]:
    """All figures of one recipe, or of one of its lines, that its rows and curves can fill."""
    with style.paper():
        drawings: list[Drawing | None] = [*draw_density_figures(results)]
        if compares(results):
            drawings.append(draw_controls(results))
        else:
            drawings += [draw_steps(results), draw_learning_curves(results)]
    return [drawing for drawing in drawings if drawing is not None]
