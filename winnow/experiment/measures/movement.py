"""Analyses of how weights moved from where they were initialised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from winnow.experiment.measures.kind import MeasuredRow, MeasureKind, SeenBatches, Specimen

if TYPE_CHECKING:
    from torch import Tensor

    from winnow.analysis import Movement, SigmaHistogram, SignAgreement, TwoModes
    from winnow.mask import Mask

_Weights = Mapping[str, "Tensor"]


def _weight_movement(
    specimens: Sequence[Specimen], _data: SeenBatches, _options: Mapping[str, Any]
) -> list[MeasuredRow]:
    """Of removed weights only where they began: they are 0, and a masked run never trains them."""
    (only,) = specimens
    rows = _rows(only.initial(), only.state.weights, only.mask, moved=("kept",))
    modes = _modes(only.initial(), only.mask)
    return [row if "bin" in row else row | modes[row.get("layer")] for row in rows]


def _modes(initial: _Weights, mask: Mask) -> dict[object, MeasuredRow]:
    """By layer, None for the network: whether the initial weights that survive have two modes."""
    from winnow.analysis import layer_two_modes, two_modes

    found: dict[object, TwoModes] = {None: two_modes(initial, mask)}
    found.update(layer_two_modes(initial, mask))
    return {
        layer: {
            "kept_initial_valley": modes.valley,
            "kept_initial_bimodality": modes.coefficient,
            "kept_initial_positive": modes.positive,
        }
        for layer, modes in found.items()
    }


def _movement_by_mask(
    specimens: Sequence[Specimen], _data: SeenBatches, _options: Mapping[str, Any]
) -> list[MeasuredRow]:
    first, second = specimens
    return _rows(second.initial(), second.state.weights, first.mask, moved=("kept", "removed"))


def _rows(
    initial: _Weights, weights: _Weights, mask: Mask, moved: Sequence[str]
) -> list[MeasuredRow]:
    """One for the network and one for each layer, then the bars of their histograms."""
    sides = {"kept": mask, "removed": mask.inverted()}
    return [*_numbers(initial, weights, sides, moved), *_bars(initial, weights, sides, moved)]


def _numbers(
    initial: _Weights, weights: _Weights, sides: Mapping[str, Mask], moved: Sequence[str]
) -> list[MeasuredRow]:
    from winnow.analysis import layer_movements, weight_movement

    whole: MeasuredRow = {}
    layers: dict[str, MeasuredRow] = {name: {"layer": name} for name in sides["kept"]}
    for side, chosen in sides.items():
        shown = None if side in moved else ("count", "initial")
        whole.update(_fields(side, weight_movement(initial, weights, chosen), shown))
        for name, found in layer_movements(initial, weights, chosen).items():
            layers[name].update(_fields(side, found, shown))
    return [whole, *layers.values()]


def _fields(side: str, found: Movement, shown: Sequence[str] | None) -> MeasuredRow:
    fields = asdict(found)
    return {f"{side}_{key}": fields[key] for key in shown or fields}


def _bars(
    initial: _Weights, weights: _Weights, sides: Mapping[str, Mask], moved: Sequence[str]
) -> list[MeasuredRow]:
    from winnow.analysis import sigma_histograms, sigma_middles

    names = list(sides["kept"])
    seen = {
        "initial": {name: initial[name] for name in names},
        "change": {name: weights[name] - initial[name] for name in names},
        "outward": {name: weights[name].abs() - initial[name].abs() for name in names},
    }
    histograms: dict[str, Mapping[str, SigmaHistogram]] = {}
    for side, chosen in sides.items():
        for field in seen if side in moved else ("initial",):
            histograms[f"{side}_{field}"] = sigma_histograms(seen[field], initial, chosen)
    rows: list[MeasuredRow] = []
    for layer in (None, *names):
        about: MeasuredRow = {} if layer is None else {"layer": layer}
        densities = {f: _of(layers, layer).densities for f, layers in histograms.items()}
        for index, middle in enumerate(sigma_middles()):
            bar = {field: values[index] for field, values in densities.items()}
            rows.append({**about, "bin": middle, **bar})
    return rows


def _of(layers: Mapping[str, SigmaHistogram], layer: str | None) -> SigmaHistogram:
    from winnow.analysis import SigmaHistogram

    return SigmaHistogram.total(layers.values()) if layer is None else layers[layer]


def _sign_agreement(
    specimens: Sequence[Specimen], _data: SeenBatches, _options: Mapping[str, Any]
) -> list[MeasuredRow]:
    from winnow.analysis import layer_sign_agreements, sign_agreement

    (only,) = specimens
    seen = only.initial(), only.state.weights, only.mask
    rows: list[MeasuredRow] = [_signs(sign_agreement(*seen))]
    for name, found in layer_sign_agreements(*seen).items():
        rows.append({"layer": name, **_signs(found)})
    return rows


def _signs(found: SignAgreement) -> MeasuredRow:
    return {"agreement": found.share, **asdict(found)}


WEIGHT_MOVEMENT = MeasureKind(
    "weight_movement",
    _weight_movement,
    "how far kept weights moved from their initial values, and the initial values of kept and of "
    "removed weights as histograms (Frankle & Carbin 2019, appendix F)",
    semantics=2,  # 1 had no kept_initial_valley, _bimodality and _positive
    numbers="float64",
)

MOVEMENT_BY_MASK = MeasureKind(
    "movement_by_mask",
    _movement_by_mask,
    "how the weights of the second network moved that the mask of the first keeps, and those that "
    "it removes: of the dense network by its ticket (Frankle & Carbin 2019, figures 19 and 20)",
    subjects=2,
    numbers="float64",
)

SIGN_AGREEMENT = MeasureKind(
    "sign_agreement",
    _sign_agreement,
    "the share of kept weights whose sign is that of their initial value",
)
