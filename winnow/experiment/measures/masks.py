"""Analyses of masks alone: densities of layers, how two masks overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from winnow.experiment.measures.kind import MeasuredRow, MeasureKind, SeenBatches, Specimen


def _layer_densities(
    specimens: Sequence[Specimen], _data: SeenBatches, _options: Mapping[str, Any]
) -> list[MeasuredRow]:
    from winnow.analysis import collapsed_layers, layer_densities

    mask = specimens[0].mask
    collapsed = len(collapsed_layers(mask))
    rows: list[MeasuredRow] = [{"density": mask.density, "kept": mask.kept, "collapsed": collapsed}]
    for name, found in layer_densities(mask).items():
        rows.append({"layer": name, **asdict(found)})
    return rows


LAYER_DENSITIES = MeasureKind(
    "layer_densities",
    _layer_densities,
    "the density of each layer, how many weights it keeps, and its ratio to that of all",
)


def _overlap(
    specimens: Sequence[Specimen], _data: SeenBatches, _options: Mapping[str, Any]
) -> list[MeasuredRow]:
    from winnow.analysis import layer_overlaps, mask_overlap

    first, second = (specimen.mask for specimen in specimens)
    rows: list[MeasuredRow] = [asdict(mask_overlap(first, second))]
    for name, found in layer_overlaps(first, second).items():
        rows.append({"layer": name, **asdict(found)})
    return rows


OVERLAP = MeasureKind(
    "overlap",
    _overlap,
    "what two masks have in common: positions that agree, zeros included (Zhang et al. 2021, "
    "equation 7), and the Jaccard index of kept weights, each beside its chance level",
    subjects=2,
)
