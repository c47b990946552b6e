"""Analyses of two networks: how far apart they are, and what lies between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

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
    "first: to pruning against: dense, to data order of pairs (Frankle et al. 2019, section 3)",
    subjects=2,
    numbers="float64",
)
