"""Analyses of gradients: the norm of the gradient, and that beside another network's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from winnow.errors import UserError
from winnow.experiment.measures.kind import MeasuredRow, MeasureKind, SeenBatches, Specimen

if TYPE_CHECKING:
    from winnow.analysis.gradients import GradientNorm

_OPTIONS = {"norms": "batch"}


def _norm_of(specimen: Specimen, data: SeenBatches, options: Mapping[str, Any]) -> GradientNorm:
    from winnow.analysis.gradients import gradient_norm

    return gradient_norm(specimen.model(), data, specimen.mask, norms=options["norms"])


def _gradient_norm(
    specimens: Sequence[Specimen], data: SeenBatches, options: Mapping[str, Any]
) -> list[MeasuredRow]:
    found = _norm_of(specimens[0], data, options)
    whole: MeasuredRow = {
        "squared": found.squared,
        "norm": found.norm,
        "loss": found.loss,
        "kept": sum(found.kept.values()),
    }
    layers: list[MeasuredRow] = [
        {
            "layer": name,
            "squared": square,
            "norm": square**0.5,
            "share": square / found.squared if found.squared else None,
            "kept": found.kept[name],
        }
        for name, square in found.squares.items()
    ]
    return [whole, *layers]


def _gradient_norm_ratio(
    specimens: Sequence[Specimen], data: SeenBatches, options: Mapping[str, Any]
) -> list[MeasuredRow]:
    ours, other = (_norm_of(specimen, data, options) for specimen in specimens)
    if not ours.squares.keys() <= other.squares.keys():
        missing = sorted(ours.squares.keys() - other.squares.keys())
        raise UserError(
            f"gradient_norm_ratio compares layer by layer, but the other network has no {missing}: "
            "take against: an arm of the same recipe"
        )
    whole = {"loss": ours.loss, "other_loss": other.loss}
    rows: list[MeasuredRow] = [{**_ratios(ours.squared, other.squared), **whole}]
    for name, square in ours.squares.items():
        rows.append({"layer": name, **_ratios(square, other.squares[name])})
    return rows


def _ratios(square: float, other: float) -> MeasuredRow:
    """Of gᵀg and of ‖g‖; none where the other gradient is 0."""
    ratio = square / other if other else None
    norm = None if ratio is None else ratio**0.5
    return {"ratio": ratio, "norm_ratio": norm, "squared": square, "other_squared": other}


GRADIENT_NORM = MeasureKind(
    "gradient_norm",
    _gradient_norm,
    "gᵀg and ‖g‖ of the mean cross-entropy's gradient by the kept weights, over whole data",
    needs_data=True,
    options=_OPTIONS,
)

GRADIENT_NORM_RATIO = MeasureKind(
    "gradient_norm_ratio",
    _gradient_norm_ratio,
    "gᵀg and ‖g‖ of a network relative to those of another, such as the dense one",
    subjects=2,
    needs_data=True,
    options=_OPTIONS,
)
