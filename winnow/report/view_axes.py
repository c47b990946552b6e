"""The axes of a view: what they are called, and where runs stand on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from winnow.amounts import iterations
from winnow.data.facts import facts
from winnow.errors import UserError
from winnow.experiment.recipe.sides import ITERATIONS_TO
from winnow.experiment.recipe.views import BIN, EPOCH, ITERATION, LAYER, View
from winnow.report.results import Results, data_facts
from winnow.report.samples import Sample

AXIS_WORDS = {
    "density": "Weights remaining (density_total, %)",
    "density_prunable": "Prunable weights remaining (density, %)",
    "sparsity": "Weights removed (%)",
    "weights": "Weights remaining",
    ITERATION: "Training iteration",
    EPOCH: "Epoch",
    LAYER: "Layer, from the first",
    BIN: "Value",
}
"""What the horizontal axis says; of a key of the recipe, the key."""


def metric_label(of: str) -> str:
    """A metric in words: "Test accuracy at early stopping (%)"."""
    if of == "stop_iteration":
        return "Early-stopping iteration"
    if of.startswith(ITERATIONS_TO):
        return f"Iterations to {of.removeprefix(ITERATIONS_TO)} % validation accuracy"
    column, _, layer = of.partition(":")
    words = column.replace("_", " ").replace(".", ": ")
    for prefix, where in (("stop ", "at early stopping"), ("final ", "at the end")):
        if words.startswith(prefix):
            words = f"{words.removeprefix(prefix)} {where}"
    words = (
        words.replace("accuracy at ", "accuracy at iteration ") if words[-1].isdigit() else words
    )
    words = f"test {words}" if words.startswith("accuracy") else words
    place = f", {layer}" if layer else ""
    return f"{words[0].upper()}{words[1:]}{place}{' (%)' if 'accuracy' in words else ''}"


def around_zero(places: Sequence[float]) -> float | None:
    """Of bins whose widths grow from zero on, the smallest distance from it; None of even ones."""
    bins = sorted(set(places))
    gaps = [after - before for before, after in pairwise(bins)]
    uneven = len(gaps) > 1 and max(gaps) > 5 * min(gaps)
    return min(abs(place) for place in bins if place) if uneven else None


def place_of(run: Sample, against: str) -> float:
    """Where a run stands on an axis; densities in percent."""
    return {
        "density": 100 * run.density_total,
        "density_prunable": 100 * run.density,
        "sparsity": 100 * (1 - run.density_total),
        "weights": float(run.weights_kept),
    }[against]


def at_dotted(recipe: Mapping[str, Any], key: str) -> Any:
    place: Any = recipe
    for part in key.split("."):
        if isinstance(place, list | tuple) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        elif isinstance(place, Mapping) and part in place:
            place = place[part]
        else:
            raise UserError(f"a view goes against {key}, and the recipe has no such key")
    return place


def as_number(written: Any, view: View, results: Results) -> float:
    """A value of a recipe as a place on an axis; steps in iterations, ``init`` as 0."""
    if isinstance(written, int | float) and not isinstance(written, bool):
        return float(written)
    if written == "init":
        return 0.0
    if isinstance(written, str) and written.endswith(("it", "ep")):
        return float(iterations(written, int(per_epoch_of(results))))
    raise UserError(
        f"the view {view.title!r} goes against {view.against}, which is {written!r}: only numbers "
        "and steps have a place on an axis"
    )


def per_epoch_of(results: Results) -> float:
    """Iterations of an epoch, as far as the recipe says it."""
    data, train = results.recipe["data"], results.recipe["train"]
    about = data_facts(results, data["name"])
    everyone = facts(data["name"]).train_size if about is None else about.train_size
    images = data.get("train") or everyone - data.get("validation", 0)
    return float(max(math.ceil(images / train["batch"]), 1))
