"""Whether kept weights still have the signs that they were initialised with.

Zhou, Lan, Liu & Yosinski 2019, "Deconstructing Lottery Tickets", finds that of a ticket's initial
weights the signs matter; this counts how many of them training leaves as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.mask import Mask
from winnow.survivors import check_known


@dataclass(frozen=True)
class SignAgreement:
    """Of ``kept`` weights ``same`` have the sign of their initial value: −, + or exactly 0."""

    same: int
    kept: int

    @property
    def share(self) -> float:
        """``same`` over ``kept``; nan where nothing is kept."""
        return self.same / self.kept if self.kept else math.nan


def sign_agreement(
    initial: Mapping[str, Tensor], weights: Mapping[str, Tensor], mask: Mask
) -> SignAgreement:
    """How many of the weights that ``mask`` keeps have the sign of their initial value.

    A weight that was not 0 and has become exactly 0, or the other way round, has another sign.
    ValueError when the mask does not fit one of the two.
    """
    return _together(layer_sign_agreements(initial, weights, mask).values())


def layer_sign_agreements(
    initial: Mapping[str, Tensor], weights: Mapping[str, Tensor], mask: Mask
) -> dict[str, SignAgreement]:
    """Name → `sign_agreement` of that layer alone. ValueError as there."""
    mask.check_fits(initial)
    mask.check_fits(weights)
    check_known(initial, mask, "initial weights")
    check_known(weights, mask, "weights")
    found = {}
    for name, keep in mask.to("cpu").items():
        before, after = initial[name].detach().cpu()[keep], weights[name].detach().cpu()[keep]
        same = torch.sign(before) == torch.sign(after)  # no product: it could underflow to 0
        found[name] = SignAgreement(int(same.sum()), same.numel())
    return found


def _together(layers: Iterable[SignAgreement]) -> SignAgreement:
    layers = list(layers)
    return SignAgreement(sum(layer.same for layer in layers), sum(layer.kept for layer in layers))
