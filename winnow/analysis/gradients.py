"""The gradient of the mean cross-entropy over many images, and its norm over kept weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from winnow.criteria.base import Subject
from winnow.criteria.gradient import gradients_by
from winnow.criteria.statistics import NormStatistics, use_statistics
from winnow.errors import UserError, unknown
from winnow.mask import Mask
from winnow.selection import parameters

ImageBatches = Iterable[tuple[Tensor, Tensor]]
"""Images (B, …) and labels (B,), as often as they are iterated over."""

NormMode = Literal["batch", "auto", "running", "data"]


@dataclass(frozen=True)
class LossGradient:
    """The mean cross-entropy over ``examples`` images, and its gradient: name → float64 tensor."""

    loss: float
    examples: int
    gradients: Mapping[str, Tensor]


@dataclass(frozen=True)
class GradientNorm:
    """gᵀg by layer over the weights that a mask keeps, and the loss whose gradient g is."""

    loss: float
    squares: Mapping[str, float]
    kept: Mapping[str, int]

    @property
    def squared(self) -> float:
        """gᵀg over all layers."""
        return math.fsum(self.squares.values())

    @property
    def norm(self) -> float:
        """‖g‖ over all layers."""
        return math.sqrt(self.squared)


def gradient_norm(
    model: nn.Module, batches: ImageBatches, mask: Mask, *, norms: NormMode = "batch"
) -> GradientNorm:
    """gᵀg and ‖g‖, g the gradient of the mean cross-entropy by the weights that ``mask`` keeps.

    Wang et al. 2020 (GraSP), section 3 and figure 2: the gradient flow after pruning, on the whole
    training set. The network computes with its weights where the mask keeps them and 0 elsewhere.
    ``norms`` as in `loss_gradient`. The model stays as it is. Raises UserError as that does, and
    ValueError for a mask of another network.
    """
    pruned = masked_copy(model, mask)
    found = loss_gradient(pruned, batches, list(mask), norms=norms)
    squares = {
        name: float(g.masked_select(mask[name].to(g.device)).square().sum())
        for name, g in found.gradients.items()
    }
    return GradientNorm(found.loss, squares, mask.kept_per_layer)


def loss_gradient(
    model: nn.Module, batches: ImageBatches, names: Iterable[str], *, norms: NormMode = "batch"
) -> LossGradient:
    """The mean cross-entropy over all images of all batches, and its gradient by some parameters.

    Batches may differ in size: each image counts once. Sums over batches are taken in float64, a
    batch's own gradient in the model's type. Dropout is off. ``norms``, where the model has batch
    norm: ``batch`` (the default) normalises with each batch's own statistics, as training does
    and as the code of Wang et al. 2020 does; it is the loss that training lowers, and the only
    meaningful choice at initialisation, where running statistics are of no data. It depends on
    which images stand in one batch. ``running`` uses the running statistics: the loss is a sum over
    single images. ``data`` estimates them anew from the batches first, ``auto`` only if a batch
    norm has never seen data. The model stays as it is.

    Raises UserError for no images, an unknown parameter or another word for ``norms``.
    """
    model = copy.deepcopy(model).requires_grad_(False)
    weights = _named(model, names)
    set_norms(model, batches, norms)
    for weight in weights.values():
        weight.requires_grad_(True)
    sums = {name: torch.zeros_like(w, dtype=torch.float64) for name, w in weights.items()}
    total, count = 0.0, 0
    for x, y in batches:
        loss = F.cross_entropy(model(x), y, reduction="sum")
        for name, term in zip(sums, gradients_by(loss, list(weights.values())), strict=True):
            sums[name] += term
        total += loss.item()
        count += len(y)
    if count == 0:
        raise UserError("there are no images to take a gradient over: the data has no batch")
    return LossGradient(total / count, count, {name: g / count for name, g in sums.items()})


def set_norms(model: nn.Module, batches: ImageBatches, norms: NormMode) -> None:
    """Evaluation mode, with batch norm as `loss_gradient` says. Changes the model."""
    if norms not in get_args(NormMode):
        known = get_args(NormMode)
        raise unknown("mode of batch norm", str(norms), known, f"Modes are {', '.join(known)}")
    model.eval()
    if norms == "batch":
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train()
        return
    statistics: NormStatistics = norms
    use_statistics(Subject("analysis", model, parameters(model), batches), statistics)


def masked_copy(model: nn.Module, mask: Mask) -> nn.Module:
    """A copy of a network with 0 where the mask removes. ValueError for another network's mask."""
    model = copy.deepcopy(model)
    named = parameters(model)
    mask.check_fits(named)
    with torch.no_grad():
        for name, keep in mask.items():
            named[name].masked_fill_(~keep.to(named[name].device), 0)
    return model


def _named(model: nn.Module, names: Iterable[str]) -> dict[str, nn.Parameter]:
    known, chosen = parameters(model), list(names)
    for name in chosen:
        if name not in known:
            raise unknown("parameter", name, known, "See model.named_parameters()")
    return {name: known[name] for name in chosen}
