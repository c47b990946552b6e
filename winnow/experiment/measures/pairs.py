"""Analyses of two networks: how far apart they are, and what lies between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from winnow.errors import UserError
from winnow.experiment.measures.kind import MeasuredRow, MeasureKind, SeenBatches, Specimen


def _stability(
    specimens: Sequence[Specimen], _data: SeenBatches, _options: Mapping[str, Any]
) -> list[MeasuredRow]:
    from winnow.analysis import layer_distances, weight_distance

    first, second = specimens
    pair = first.state.weights, second.state.weights
    rows: list[MeasuredRow] = [asdict(weight_distance(*pair, first.mask))]
    for name, found in layer_distances(*pair, first.mask).items():
        rows.append({"layer": name, **asdict(found)})
    return rows


STABILITY = MeasureKind(
    "stability",
    _stability,
    "the L2 distance and the angle between the weights of two networks under the mask of the "
    "first: to pruning against: dense, to data order of pairs (Frankle et al. 2019, section 2)",
    subjects=2,
    numbers="float64",
)


def _barrier(
    specimens: Sequence[Specimen], data: SeenBatches, options: Mapping[str, Any]
) -> list[MeasuredRow]:
    from winnow.analysis import line_between

    points = options["points"]
    if not isinstance(points, int) or isinstance(points, bool):
        raise UserError(f"barrier: points is a whole number of at least 2, not {points!r}")
    first, second = ({**one.state.weights, **one.state.buffers} for one in specimens)
    model = specimens[0].model()
    line = line_between(model, first, second, data, points=points, norms=options["norms"])
    whole: MeasuredRow = {
        field: getattr(line, field)
        for field in (
            "error_barrier",
            "loss_barrier",
            "highest_error",
            "highest_loss",
            "error_of_ends",
            "loss_of_ends",
        )
    }
    on_the_way: list[MeasuredRow] = [
        {"bin": point.position, "loss": point.loss, "error": point.error} for point in line.points
    ]
    return [whole, *on_the_way]


BARRIER = MeasureKind(
    "barrier",
    _barrier,
    "loss and error on the line between two networks, and how far they rise above its ends "
    "(linear mode connectivity, Frankle et al. 2020)",
    subjects=2,
    needs_data=True,
    options={"points": 11, "norms": "reestimate"},
)
