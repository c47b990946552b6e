"""MLPrune: score = w²/([G⁻¹]ᵢᵢ[A⁻¹]ⱼⱼ), and the surgeon's update of the weights that stay."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from winnow.criteria.base import Subject
from winnow.criteria.kronecker import Factors, kronecker_factors
from winnow.errors import UserError
from winnow.mask import Mask

Inverses = tuple[Tensor, Tensor]  # G⁻¹ (groups, m, m) and A⁻¹ (groups, n, n), float64


def mlprune(
    subject: Subject, *, damping: float = 1e-3, fisher: str = "empirical"
) -> dict[str, Tensor]:
    """w²/([G⁻¹]ᵢᵢ[A⁻¹]ⱼⱼ) for the weight from input j to output i of a layer: twice the increase of
    the loss when w is removed from a trained network and the rest of its layer makes up for it.

    Zeng & Urtasun 2019, "MLPrune: Multi-Layer Pruning for Automated Neural Network Compression":
    the optimal brain surgeon (Hassibi & Stork 1993) with the Fisher matrix of each layer as the
    product of two factors, see ``kronecker`` for their definition, convolutions included. No code
    of the authors is public. Choices made here: all positions of an image and all examples of the
    data are used; ``damping`` is added to the diagonals, relative to each factor's mean
    eigenvalue; ``fisher`` is "empirical", or "model" for targets drawn from the network; factors
    are inverted in float64. Per-example gradients need batch norm in eval mode: score a model
    that is in it. A layer whose outputs get no gradient has scores 0.

    ``surgeon`` gives the update of the weights that stay. UserError for a weight of another layer
    than Linear, Conv1d and Conv2d, and a damping that is not positive.
    """
    _check(damping)
    factors = kronecker_factors(subject, fisher)
    return {n: _scores(w, _inverses(factors[n], damping)) for n, w in subject.weights.items()}


def surgeon(
    subject: Subject, mask: Mask, *, damping: float = 1e-3, fisher: str = "empirical"
) -> dict[str, Tensor]:
    """What to add to the weights when ``mask`` removes some: −G⁻¹(W / ([G⁻¹]ᵢᵢ[A⁻¹]ⱼⱼ))A⁻¹, where W
    holds the removed weights and 0 elsewhere.

    Parameter name -> change, for the weights of the mask and the biases trained with them. The
    sum of the surgeon's updates for each weight alone (Hassibi & Stork 1993, equation 5), as the
    code of EigenDamage (Wang et al. 2019) takes it: exact when one weight of a layer goes. When
    several go, their updates do not quite cancel them, so set them to 0 afterwards. Options and
    errors as for ``mlprune``; the subject's weights must be those of the mask.
    """
    _check(damping)
    if missing := [name for name in mask if name not in subject.weights]:
        raise UserError(f"the mask names {missing[:3]}, which are not among the subject's weights")
    names = {id(parameter): name for name, parameter in subject.model.named_parameters()}
    changes: dict[str, Tensor] = {}
    for name, found in kronecker_factors(subject, fisher).items():
        weight = subject.weights[name]
        if name in mask and (inverses := _inverses(found, damping)) is not None:
            removed = weight.detach().masked_fill(mask[name].to(weight.device), 0)
            change = _update(removed, inverses)
            if found.bias is not None:
                changes[names[id(found.bias)]] = change[:, :, -1].flatten().to(found.bias.dtype)
                change = change[:, :, :-1]
            changes[name] = change.reshape(weight.shape).to(weight.dtype)
    return changes


def _scores(weight: nn.Parameter, inverses: Inverses | None) -> Tensor:
    if inverses is None:
        return torch.zeros_like(weight)
    of_g, of_a = (inverse.diagonal(dim1=1, dim2=2) for inverse in inverses)
    matrix = _as_matrix(weight.detach(), inverses)
    bare = of_a[:, None, : matrix.shape[2]]  # without the bias's
    scores = matrix.double() ** 2 / (of_g[:, :, None] * bare)
    wide = torch.promote_types(weight.dtype, torch.float32)
    return scores.reshape(weight.shape).to(wide)


def _update(removed: Tensor, inverses: Inverses) -> Tensor:
    """(groups, m, n); the last column is the bias's if the factors have one."""
    of_g, of_a = (inverse.diagonal(dim1=1, dim2=2) for inverse in inverses)
    matrix = _as_matrix(removed, inverses).double()
    scaled = matrix / (of_g[:, :, None] * of_a[:, None, : matrix.shape[2]])
    inverse_g, inverse_a = inverses
    return -inverse_g @ scaled @ inverse_a[:, : matrix.shape[2]]


def _as_matrix(weight: Tensor, inverses: Inverses) -> Tensor:
    """(groups, m, n) from (outputs, inputs of a unit, …)."""
    groups, outputs, _ = inverses[0].shape
    return weight.reshape(groups, outputs, -1)


def _inverses(factors: Factors, damping: float) -> Inverses | None:
    """None for a layer without gradient or input."""
    if factors.a is None or factors.g is None:
        return None
    inverses = []
    for factor in (factors.g.double(), factors.a.double()):
        mean = factor.diagonal(dim1=1, dim2=2).mean()
        if not bool(torch.isfinite(mean)):
            raise UserError("criterion 'mlprune': a factor is NaN or infinite; check data and loss")
        if mean == 0:
            return None
        damped = factor + damping * mean * torch.eye(factor.shape[1]).to(factor)
        inverses.append(torch.cholesky_inverse(torch.linalg.cholesky(damped)))
    return inverses[0], inverses[1]


def _check(damping: float) -> None:
    if not (isinstance(damping, float | int) and math.isfinite(damping) and damping > 0):
        raise UserError(f"damping is {damping!r}: give a positive number, e.g. 1e-3")
