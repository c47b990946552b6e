"""The analysis ``histograms``: of weights, gradients and their products, by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from winnow.errors import UserError, unknown
from winnow.experiment.measures.kind import MeasuredRow, MeasureKind, SeenBatches, Specimen

if TYPE_CHECKING:
    from torch import Tensor

    from winnow.analysis.histograms import SymmetricBins

_Values = Mapping[str, Mapping[str, "Tensor"]]  # w, g, wg → layer → values


def _histograms(
    specimens: Sequence[Specimen], data: SeenBatches, options: Mapping[str, Any]
) -> list[MeasuredRow]:
    from winnow.analysis.histograms import pooled

    (specimen,), bins = specimens, _bins(options)
    values = _values(specimen, data, options)
    rows = _rows({}, {key: pooled(layers) for key, layers in values.items()}, bins, options)
    for name in specimen.mask:
        own = {key: layers[name] for key, layers in values.items()}
        rows += _rows({"layer": name}, own, bins, options)
    return rows


def _values(specimen: Specimen, data: SeenBatches, options: Mapping[str, Any]) -> _Values:
    from winnow.analysis.per_weight import weights_and_gradients

    found = weights_and_gradients(
        specimen.model(),
        data,
        specimen.mask,
        gradient=options["gradient"],
        norms=options["norms"],
    )
    unit = _units(specimen, options["unit"])
    w = {name: values / unit[name] for name, values in found.w.items()}
    wg = {name: values / unit[name] for name, values in found.wg.items()}
    return {"w": w, "g": found.g, "wg": wg}


def _units(specimen: Specimen, unit: str) -> Mapping[str, float]:
    """What weights are divided by: 1, or the standard deviation of the layer's initial weights."""
    if unit == "one":
        return dict.fromkeys(specimen.mask, 1.0)
    if unit != "sigma":
        raise unknown("unit", unit, ["one", "sigma"], "Units are one, sigma")
    initial = specimen.initial()
    found = {name: float(initial[name].double().std(correction=0)) for name in specimen.mask}
    for name, sigma in found.items():
        if sigma == 0:
            raise UserError(f"all initial weights of {name} are equal: write unit: one")
    return found


def _bins(options: Mapping[str, Any]) -> SymmetricBins:
    from winnow.analysis.histograms import linear_bins, log_bins

    if options["bins"] == "log":
        return log_bins(options["smallest"], options["largest"], options["per_decade"])
    if options["bins"] == "linear":
        return linear_bins(options["largest"], options["count"])
    raise unknown("kind of bins", str(options["bins"]), ["log", "linear"], "Kinds are log, linear")


def _rows(
    about: MeasuredRow,
    values: Mapping[str, Tensor],
    bins: SymmetricBins,
    options: Mapping[str, Any],
) -> list[MeasuredRow]:
    """The row of a layer or of the network, and one for each bin."""
    from winnow.analysis.histograms import zero_shares

    head: MeasuredRow = {**about, "kept": values["w"].numel()}
    for key, own in values.items():
        zeros = zero_shares(own, options[f"near_{key}"])
        head |= {f"{key}_zero": zeros.zero, f"{key}_near_zero": zeros.near}
        head[f"{key}_mean_abs"] = float(own.abs().mean()) if own.numel() else None
    shares = {key: bins.shares(own) for key, own in values.items()}
    rows = [head]
    for index, middle in enumerate(bins.middles):
        row: MeasuredRow = {**about, "bin": middle}
        rows.append(row | {key: own[index] if own else None for key, own in shares.items()})
    return rows


HISTOGRAMS = MeasureKind(
    "histograms",
    _histograms,
    "histograms of kept weights, their gradients and the products of both; values near zero",
    needs_data=True,
    options={
        "gradient": "examples",
        "norms": "auto",
        "unit": "one",
        "bins": "log",
        "smallest": 1e-8,
        "largest": 10.0,
        "per_decade": 2,
        "count": 101,
        "near_w": 1e-3,
        "near_g": 1e-6,
        "near_wg": 1e-8,
    },
)
