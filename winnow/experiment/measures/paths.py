"""The analysis ``effective_density``: kept weights on some path from the input to the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from winnow.experiment.measures.kind import MeasuredRow, MeasureKind, SeenBatches, Specimen


def _effective_density(
    specimens: Sequence[Specimen], _data: SeenBatches, _options: Mapping[str, Any]
) -> list[MeasuredRow]:
    from winnow.analysis.paths import effective_weights

    (specimen,) = specimens
    data = specimen.run.data
    shape = data.about.inputs(data.size)
    found = effective_weights(specimen.model(), specimen.mask, shape)
    mask, effective, dead = found.mask, found.effective, found.dead_units
    units = found.units
    whole: MeasuredRow = {
        **_row(effective.kept, mask.kept, mask.size),
        "dead_units": sum(dead.values()),
        "units": sum(units.values()),
        "collapsed": len(found.collapsed),
        "disconnected": int(effective.kept == 0),
    }
    layers: list[MeasuredRow] = [
        {
            "layer": name,
            **_row(effective.kept_per_layer[name], mask.kept_per_layer[name], bits.numel()),
            "dead_units": dead[name],
            "units": units[name],
        }
        for name, bits in mask.items()
    ]
    return [whole, *layers]


def _row(effective: int, kept: int, size: int) -> MeasuredRow:
    return {
        "effective_density": effective / size,
        "density": kept / size,
        "effective": effective,
        "kept": kept,
        "share": effective / kept if kept else None,
    }


EFFECTIVE_DENSITY = MeasureKind(
    "effective_density",
    _effective_density,
    "the density of kept weights on some path from the input to the output; dead units, collapse",
)
