"""The figure of a bench: time of a training step against density, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Sequence

from winnow.bench.compare import BenchRow, Work
from winnow.report.figures import style
from winnow.report.figures.axes import density_axis
from winnow.report.figures.drawing import Drawing

LABELS = {
    "sparse": "Winnow, sparse engine",
    "dense": "Winnow, dense engine",
    "eager": "torch, eager",
    "compile": "torch.compile",
}
_LOOKS = {
    "sparse": style.Look("#0072B2", "o", "-"),
    "dense": style.Look("#333333", "s", "--"),
    "eager": style.Look("#D55E00", "^", ":"),
    "compile": style.Look("#009E73", "D", "-."),
}


def draw_times(work: Work, rows: Sequence[BenchRow]) -> Drawing:
    """A line for each side."""
    from matplotlib.figure import Figure

    with style.paper():
        figure = Figure(figsize=(4.8, 3.4), layout="constrained")
        axes = figure.add_subplot()
        densities = [row.density for row in rows]
        for name in rows[0].microseconds:
            how = _LOOKS[name]
            axes.plot(
                [100 * density for density in densities],
                [row.microseconds[name] for row in rows],
                color=how.color,
                marker=how.marker,
                linestyle=how.dash,
                label=LABELS[name],
            )
        density_axis(axes, densities, densities)
        axes.set_xlabel("Density (%)")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_ylabel("A training step (µs)")
        axes.set_title(f"{work.network}, batch {work.batch}, {work.optimizer}, one thread")
        axes.legend()
        png, svg = style.rendered(figure)
    caption = f"Time of a training step of {work.network} against density, one thread, medians."
    return Drawing(work.name, caption, png, svg)
