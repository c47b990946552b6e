"""The analysis ``ntk_identity``: the gradient's norm from the eigenvalues of the tangent kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from winnow.errors import UserError
from winnow.experiment.measures.kind import MeasuredRow, MeasureKind, SeenBatches, Specimen


def _ntk_identity(
    specimens: Sequence[Specimen], data: SeenBatches, options: Mapping[str, Any]
) -> list[MeasuredRow]:
    from winnow.analysis.tangent_kernel import kernel_identity

    (specimen,), top = specimens, options["top"]
    if not isinstance(top, int) or top < 1:
        raise UserError(f"the largest {top!r} eigenvalues: write a whole number of at least 1")
    found = kernel_identity(specimen.model(), data, specimen.mask, norms=options["norms"])
    row: MeasuredRow = {
        "squared": found.squared,
        "by_kernel": found.by_kernel,
        "error": found.error,
        "loss": found.loss,
        "trace": float(found.eigenvalues.sum()),
        "top_share": float(found.parts[:top].sum()) / found.by_kernel if found.by_kernel else None,
    }
    for index, value in enumerate(found.eigenvalues[:top].tolist(), 1):
        row[f"eigenvalue_{index}"] = value
    return [row]


NTK_IDENTITY = MeasureKind(
    "ntk_identity",
    _ntk_identity,
    "gᵀg from the eigenvalues of the tangent kernel of a few images, beside gᵀg itself",
    needs_data=True,
    options={"top": 10, "norms": "auto"},
    numbers="float64",
)
