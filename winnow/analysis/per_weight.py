"""The kept weights w of a network, their gradients g over data, and the products w·g, by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from winnow.analysis.gradients import (
    ImageBatches,
    NormMode,
    loss_gradient,
    masked_copy,
    set_norms,
)
from winnow.errors import UserError, unknown
from winnow.mask import Mask
from winnow.moments import moments
from winnow.selection import parameters

GradientKind = Literal["examples", "batch"]


@dataclass(frozen=True)
class WeightsAndGradients:
    """By layer, of the n weights that the mask keeps there, in one order: (n,) each."""

    w: Mapping[str, Tensor]
    g: Mapping[str, Tensor]

    @property
    def wg(self) -> Mapping[str, Tensor]:
        """w·g, one by one."""
        return {name: w * self.g[name].to(w.dtype) for name, w in self.w.items()}


def weights_and_gradients(
    model: nn.Module,
    batches: ImageBatches,
    mask: Mask,
    *,
    gradient: GradientKind = "examples",
    norms: NormMode = "auto",
) -> WeightsAndGradients:
    """w and g of the kept weights of the network under its mask.

    ``examples``: g is the mean over images of |∂ℓ/∂w|, one image at a time, ℓ the cross-entropy,
    the g of "Data-dependent pruning to find the winning lottery ticket"; it is not negative.
    ``batch``: g = ∂L/∂w, L the mean over all images, with its sign. ``norms`` as in
    `loss_gradient`; single images have no gradient of their own with the statistics of a batch,
    hence the default ``auto``, the one that the criterion data-dependent has. Values are returned
    in float64, computed in the model's type. The model stays as it is.

    Raises UserError for other words, for ``examples`` with ``batch``, and without images.
    """
    if gradient not in get_args(GradientKind):
        known = get_args(GradientKind)
        raise unknown("kind of gradient", str(gradient), known, f"Kinds are {', '.join(known)}")
    if gradient == "examples" and norms == "batch":
        raise UserError(
            "gradients of single images need batch norm with running statistics: write norms: "
            "auto, running or data instead of batch, or gradient: batch"
        )
    pruned = masked_copy(model, mask)
    if gradient == "batch":
        g = loss_gradient(pruned, batches, list(mask), norms=norms).gradients
    else:
        set_norms(pruned, batches, norms)
        g = moments(pruned, batches, F.cross_entropy, list(mask), "abs")
    weights = parameters(pruned)
    return WeightsAndGradients(
        {name: weights[name].detach()[keep].double() for name, keep in mask.items()},
        {name: g[name][keep].double() for name, keep in mask.items()},
    )
