"""Views: what a recipe's figures show, as data. A metric against an axis, by line and arm."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field, model_validator

from winnow.experiment.recipe.items import ITEMS
from winnow.experiment.recipe.values import RecipePart

DENSITY = "density"
ITERATION = "iteration"
EPOCH = "epoch"
OF_A_RUN = (DENSITY, "density_prunable", "sparsity", "weights")
"""Axes that a single run has a place on."""

LAYER = "layer"
BIN = "bin"
OF_A_FINDING = (LAYER, BIN)
"""Axes of what analyses find in each layer, or of histograms."""

CURVES = ("validation_loss", "validation_accuracy", "test_accuracy", "test_loss", "training_loss")
"""Metrics that are recorded on the way: they go against ``iteration`` or ``epoch``."""

_Names = Annotated[tuple[str, ...], Field(strict=False)]


class View(RecipePart):
    """One figure.

    ``of``: the metric: a numeric column of rows.csv (``stop_test_accuracy``, ``stop_iteration``,
    ``accuracy_at_30000``), ``iterations_to_97`` (iterations until the validation accuracy first
    reaches 97 %), a number that an analysis found (``overlap.agreement``; of one layer
    ``histogram.near_zero:output.weight``), or a curve (``validation_loss``, ``test_accuracy``, …).
    ``against``: ``density``
    (of all weights), ``density_prunable``, ``sparsity`` or ``weights``; ``iteration`` or ``epoch``
    for curves; or a dotted key of the recipe whose value differs from line to line
    (``train.optimizer.lr``, ``prune.rewind``). ``arms`` and ``lines``: which are shown, all where
    they are empty; ``dense`` is the arm of the network without a mask, whatever the densities.
    ``densities``: in percent of all weights, those nearest to it; needed for curves and keys, where
    several make several lines.
    ``panels``: what has a panel of its own. ``log``: the metric's axis. ``figure``: the paper's
    figure that it is a part of (``lth/4``): all views of one are drawn together, in their order, as
    the paper lays them out. ``panel``: its letter there; where no view of a figure has one, its
    panels are a, b, c, …
    """

    title: str = Field(examples=["Test accuracy at early stopping"])
    of: str = Field(examples=["stop_test_accuracy"])
    against: str = Field(DENSITY, examples=["density", "iteration", "train.optimizer.lr"])
    arms: _Names = Field((), examples=[["dense", "ticket"]])
    lines: _Names = Field((), examples=[["warm-up"]])
    densities: Annotated[tuple[Annotated[float, Field(gt=0, le=100)], ...], Field(strict=False)] = (
        Field((), examples=[[21.1, 3.6]])
    )
    panels: Literal["one", "line", "arm", "density"] = "one"
    log: bool = False
    figure: str = Field("", examples=["lth/4"])
    panel: str = Field("", pattern="^[a-z]?$", examples=["a"])

    @model_validator(mode="after")
    def _is_of_a_figure(self) -> View:
        if self.panel and not self.figure:
            raise ValueError(f"panel {self.panel} is of no figure: figure: lth/4")
        if self.figure and self.figure not in ITEMS:
            close = get_close_matches(self.figure, ITEMS, 1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"there is no figure {self.figure!r}.{meant}")
        return self

    @model_validator(mode="after")
    def _axis_suits(self) -> View:
        timed = self.against in (ITERATION, EPOCH)
        if timed != (self.of in CURVES):
            raise ValueError(
                f"{self.of} goes against {'density' if timed else 'iteration or epoch'}, not "
                f"{self.against}: curves are {', '.join(CURVES)}"
            )
        if self.against in OF_A_FINDING and "." not in self.of:
            raise ValueError(f"{self.of} has no {self.against}: only what analyses find has")
        if not self.densities and self.against not in OF_A_RUN:
            raise ValueError(
                f"a view against {self.against} shows some densities: densities: [100, 21.1]"
            )
        return self
