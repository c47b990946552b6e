"""The analysis ``connectivity``: kept connections of units, coming in and going out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from winnow.experiment.measures.kind import MeasuredRow, MeasureKind, SeenBatches, Specimen

if TYPE_CHECKING:
    from winnow.analysis.connections import Connections, LayerConnections


def _connectivity(
    specimens: Sequence[Specimen], _data: SeenBatches, options: Mapping[str, Any]
) -> list[MeasuredRow]:
    from winnow.analysis.connections import unit_connections

    layers = unit_connections(specimens[0].mask, specimens[0].model())
    rows = [_whole(list(layers.values()))]
    for name, found in layers.items():
        row: MeasuredRow = {"layer": name}
        rows.append(
            row | _numbers("incoming", found.incoming) | _numbers("outgoing", found.outgoing)
        )
        rows += _bins(name, found, int(options["bins"]))
    return rows


def _whole(layers: Sequence[LayerConnections]) -> MeasuredRow:
    """Counts of dead units, and extremes over units as shares of the possible connections."""
    row: MeasuredRow = {}
    for side in ("incoming", "outgoing"):
        found: list[Connections] = [getattr(layer, side) for layer in layers]
        row[f"{side}_dead"] = sum(one.dead for one in found)
        row[f"{side}_units"] = sum(len(one.counts) for one in found)
        row[f"{side}_share_min"] = min(one.minimum / one.possible for one in found)
        row[f"{side}_share_max"] = max(one.maximum / one.possible for one in found)
    return row


def _numbers(side: str, found: Connections) -> MeasuredRow:
    return {
        f"{side}_mean": found.mean,
        f"{side}_min": found.minimum,
        f"{side}_max": found.maximum,
        f"{side}_possible": found.possible,
        f"{side}_dead": found.dead,
        f"{side}_units": len(found.counts),
        f"{side}_share_min": found.minimum / found.possible,
        f"{side}_share_max": found.maximum / found.possible,
        f"{side}_spread": found.spread,
    }


def _bins(name: str, found: LayerConnections, bins: int) -> list[MeasuredRow]:
    pairs = zip(found.incoming.histogram(bins), found.outgoing.histogram(bins), strict=True)
    return [
        {"layer": name, "bin": (k + 0.5) / bins, "incoming": incoming, "outgoing": outgoing}
        for k, (incoming, outgoing) in enumerate(pairs)
    ]


CONNECTIVITY = MeasureKind(
    "connectivity",
    _connectivity,
    "how many incoming and outgoing connections each unit keeps, and units that keep none",
    options={"bins": 20},
    semantics=2,  # 1 had no spread
)
