"""The figure of an entry: accuracy against cost, every method a point, the front a line."""

from __future__ import annotations

from winnow.report.entry.entry import Entry
from winnow.report.figures import style
from winnow.report.figures.drawing import Drawing

_SIZE = (6.4, 4.2)  # inches
_OWN, _OTHER = "#D55E00", "#0072B2"


def draw_entry(entry: Entry) -> Drawing | None:
    """Mean accuracy against mean cost; None where no method has a cost."""
    if not entry.points:
        return None
    from matplotlib.figure import Figure

    with style.paper():
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        front = [entry.points[name] for name in entry.front]
        xs, ys = [p.cost for p in front], [100 * p.accuracy for p in front]
        axes.plot(xs, ys, drawstyle="steps-post", color=style.REFERENCE_COLOR, lw=1)
        for name, point in entry.points.items():
            own = name == entry.name
            color = _OWN if own else _OTHER
            mark = "*" if own else "o"
            size = 130 if own else 22
            filled = color if name in entry.front or own else "white"
            at = (point.cost, 100 * point.accuracy)
            axes.scatter(*at, s=size, marker=mark, facecolor=filled, edgecolor=color, zorder=3)
            axes.annotate(
                name,
                at,
                xytext=(5, 3),
                textcoords="offset points",
                fontsize=8 if own else 6.5,
                weight="bold" if own else "normal",
            )
        axes.set_xlabel("Cost of a network (epochs, mean over densities)")
        axes.set_ylabel("Test accuracy (%, mean over densities)")
        png, svg = style.rendered(figure)
    return Drawing("accuracy-and-cost", _caption(entry), png, svg)


def _caption(entry: Entry) -> str:
    return (
        f"Mean test accuracy against cost, means over densities; {entry.name} is the star. The "
        "line is the front: filled points, which no other method beats in both."
    )
