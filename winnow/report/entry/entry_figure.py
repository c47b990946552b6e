"""The figure of an entry: accuracy against cost, every method a point, the front a line."""

from __future__ import annotations

from winnow.report.entry.entry import Entry
from winnow.report.figures import style
from winnow.report.figures.drawing import Drawing

_SIZE = (6.4, 4.2)  # inches
_ROOM = (0.25, 0.045)  # of a name, as parts of the axes
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
        named = labelled(entry)
        for name, point in entry.points.items():
            own, at = name == entry.name, (point.cost, 100 * point.accuracy)
            color = _OWN if own else _OTHER
            axes.scatter(
                *at,
                s=130 if own else 22,
                marker="*" if own else "o",
                facecolor=color if own or name in entry.front else "white",
                edgecolor=color,
                zorder=3,
            )
            if name in named:
                axes.annotate(
                    name,
                    at,
                    xytext=(7, -3),
                    textcoords="offset points",
                    fontsize=8.5 if own else 7.5,
                    weight="bold" if own else "normal",
                )
        axes.margins(x=0.1)
        axes.set_xlabel("Cost of a network (epochs, mean over densities)")
        axes.set_ylabel("Test accuracy (%, mean over densities)")
        png, svg = style.rendered(figure)
    return Drawing("accuracy-and-cost", _caption(entry), png, svg)


def labelled(entry: Entry) -> list[str]:
    """The methods whose names are drawn: one's own, the front, then others where there is room."""
    others = sorted(entry.points, key=lambda name: -entry.points[name].accuracy)
    turn = [name for name in (entry.name, *reversed(entry.front), *others) if name in entry.points]
    costs = [point.cost for point in entry.points.values()]
    levels = [point.accuracy for point in entry.points.values()]
    wide, high = _ROOM[0] * (max(costs) - min(costs)), _ROOM[1] * (max(levels) - min(levels))
    named: list[str] = []
    for name in dict.fromkeys(turn):
        point = entry.points[name]
        if not any(
            abs(entry.points[other].cost - point.cost) < wide
            and abs(entry.points[other].accuracy - point.accuracy) < high
            for other in named
        ):
            named.append(name)
    return named


def _caption(entry: Entry) -> str:
    return (
        f"Mean test accuracy against cost, means over densities; {entry.name} is the star. The "
        "line is the front: filled points, which no other method beats in both. Names are left out "
        "where they would overlap."
    )
