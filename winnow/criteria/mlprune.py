"""MLPrune: score = w²/([G⁻¹]ᵢᵢ[A⁻¹]ⱼⱼ), and the surgeon's update of the weights that stay."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow.criteria.base import Subject
from winnow.criteria.kronecker import Factors, kronecker_factors
from winnow.criteria.traits import traits
from winnow.errors import UserError
from winnow.mask import Mask

Pair = tuple[Tensor, Tensor]  # damped G (groups, m, m) and A (groups, n, n), float64

STEPS = 100  # of the conjugate gradients, at most
TOLERANCE = 1e-10  # of their residual, relative


def surgeon(
    subject: Subject,
    mask: Mask,
    *,
    damping: float = 0.1,
    shared: bool = True,
    fisher: str = "empirical",
    joint: bool = True,
) -> dict[str, Tensor]:
    """What to add to the weights when ``mask`` removes some: name -> change, for the weights of the
    mask and the biases that train with them.

    ``joint``: the change Δ that takes the removed weights W to 0 at the least ⟨Δ, GΔA⟩, the rise
    of the loss, by conjugate gradients. Otherwise the sum of Hassibi & Stork's updates (1993,
    equation 5) for each weight alone, −G⁻¹(W / ([G⁻¹]ᵢᵢ[A⁻¹]ⱼⱼ))A⁻¹, as the code of EigenDamage
    (Wang et al. 2019) takes it: the same when one weight of a layer goes; when many go, it knows
    nothing of their common effect and can do harm, and it does not quite cancel them: set them to
    0 afterwards. Other options and errors as for ``mlprune``; the subject's weights must include
    those of the mask.
    """
    _check(damping)
    if missing := [name for name in mask if name not in subject.weights]:
        raise UserError(f"the mask names {missing[:3]}, which are not among the subject's weights")
    names = {id(parameter): name for name, parameter in subject.model.named_parameters()}
    changes: dict[str, Tensor] = {}
    factors = kronecker_factors(subject, fisher)
    for name, damped in _damped(factors, damping, shared):
        if name not in mask:
            continue
        weight, keep = subject.weights[name], mask[name].to(subject.weights[name].device)
        turned = factors[name].transposed
        removed = _as_matrix(weight.detach().masked_fill(keep, 0), damped, turned).double()
        columns = damped[1].shape[2] - removed.shape[2]  # 1 for the bias, which stays
        removed, kept = (
            F.pad(removed, (0, columns)),
            F.pad(_as_matrix(keep, damped, turned), (0, columns), value=True),
        )
        change = _together(removed, kept, damped) if joint else _one_by_one(removed, damped)
        bias = factors[name].bias
        if bias is not None:
            changes[names[id(bias)]] = change[:, :, -1].flatten().to(bias.dtype)
            change = change[:, :, :-1]
        changes[name] = _as_weight(change, weight, turned).to(weight.dtype)
    return changes


@traits(surgeon=surgeon)
def mlprune(
    subject: Subject, *, damping: float = 0.1, shared: bool = True, fisher: str = "empirical"
) -> dict[str, Tensor]:
    """w²/([G⁻¹]ᵢᵢ[A⁻¹]ⱼⱼ) for the weight from input j to output i of a layer: twice the increase of
    the loss when w is removed from a trained network and the rest of its layer makes up for it.

    Zeng & Urtasun 2019, "MLPrune: Multi-Layer Pruning for Automated Neural Network Compression":
    the optimal brain surgeon (Hassibi & Stork 1993) with the Fisher matrix of each layer as the
    product of two factors, see ``kronecker`` for their definition, convolutions included. No code
    of the authors is public. Choices made here: all positions of an image and all examples of the
    data are used; ``fisher`` is "empirical", which takes any loss, or "model" for targets drawn
    from the network, as K-FAC and the code of EigenDamage do; factors are inverted in float64.
    Per-example gradients need batch norm in eval mode: score a model that is in it. A layer whose
    outputs get no gradient has scores 0.

    ``damping``: λI is added to the Fisher matrix, split over the factors as K-FAC does (Martens &
    Grosse 2015, section 6.3); λ is this fraction of the mean of the matrix's diagonal, over all
    weights. One λ for the whole network makes layers comparable: the factors are nearly singular,
    so that much of a score is damping. With ``shared=False`` each layer has a λ from its own
    diagonal, and layers of redundant units lose nearly everything at low densities.

    A score holds for one weight that goes alone. To remove many, score, prune and update in rounds
    (``rounds`` in a recipe; ``algorithms.trained.prune_trained``). ``surgeon`` gives the update of
    the weights that stay. UserError for a weight of another layer than Linear (and transformers'
    ``Conv1D``), Conv1d and Conv2d, for one that is used without a call of its layer (``out_proj``
    of attention), and a damping that is not positive, or too small for factors in the precision of
    the model.
    """
    _check(damping)
    factors = kronecker_factors(subject, fisher)
    scores = {
        name: _scores(subject.weights[name], pair, factors[name].transposed)
        for name, pair in _damped(factors, damping, shared)
    }
    return {name: scores.get(name, _none(weight)) for name, weight in subject.weights.items()}


def _wide(weight: nn.Parameter) -> torch.dtype:
    return torch.promote_types(weight.dtype, torch.float32)


def _none(weight: nn.Parameter) -> Tensor:
    """The scores of a layer without gradient or input."""
    return torch.zeros_like(weight, dtype=_wide(weight))


def _scores(weight: nn.Parameter, damped: Pair, turned: bool) -> Tensor:
    of_g, of_a = (_inverse(factor).diagonal(dim1=1, dim2=2) for factor in damped)
    matrix = _as_matrix(weight.detach(), damped, turned).double()
    bare = of_a[:, None, : matrix.shape[2]]  # without the bias's
    return _as_weight(matrix**2 / (of_g[:, :, None] * bare), weight, turned).to(_wide(weight))


def _one_by_one(removed: Tensor, damped: Pair) -> Tensor:
    g, a = (_inverse(factor) for factor in damped)
    of_g, of_a = (inverse.diagonal(dim1=1, dim2=2) for inverse in (g, a))
    return -g @ (removed / (of_g[:, :, None] * of_a[:, None])) @ a


def _together(removed: Tensor, kept: Tensor, damped: Pair) -> Tensor:
    """X − W where [G(X − W)A] vanishes on the kept weights, and X on the others.

    Conjugate gradients with [G⁻¹·A⁻¹] on the kept weights as preconditioner. Every step lowers the
    rise of the loss, the start, X = 0, being plain removal; so it may stop early.
    """
    g, a = damped
    inverse_g, inverse_a = _inverse(g), _inverse(a)
    x = torch.zeros_like(removed)
    residual = (g @ removed @ a) * kept
    enough = float(residual.norm()) * TOLERANCE
    direction = step = (inverse_g @ residual @ inverse_a) * kept
    slope = (residual * step).sum()
    for _ in range(STEPS):
        if float(residual.norm()) <= enough:
            break
        image = (g @ direction @ a) * kept
        length = slope / (direction * image).sum()
        x += length * direction
        residual = residual - length * image
        step = (inverse_g @ residual @ inverse_a) * kept
        before, slope = slope, (residual * step).sum()
        direction = step + slope / before * direction
    return x - removed


def _as_matrix(weight: Tensor, damped: Pair, turned: bool) -> Tensor:
    """(groups, m, n) from (outputs, inputs of a unit, …); ``turned``: from (inputs, outputs)."""
    groups, outputs, _ = damped[0].shape
    return (weight.T if turned else weight).reshape(groups, outputs, -1)


def _as_weight(matrix: Tensor, weight: Tensor, turned: bool) -> Tensor:
    """(groups, m, n) in the shape of the weight: the inverse of ``_as_matrix``."""
    return matrix.reshape(weight.T.shape).T.contiguous() if turned else matrix.reshape(weight.shape)


def _damped(
    factors: Mapping[str, Factors], damping: float, shared: bool
) -> Iterator[tuple[str, Pair]]:
    """G and A in float64 with positive diagonals, of the layers that have gradient and input.

    One layer at a time: in float64 those of all are several times larger than the network.
    With the means g and a of their diagonals, G + √λ√(g/a) I and A + √λ√(a/g) I: both factors get
    the same part √(λ/ga) of their mean.
    """
    pairs = {
        name: (found.g, found.a)
        for name, found in factors.items()
        if found.g is not None and found.a is not None
    }
    means = {name: (_mean(g), _mean(a)) for name, (g, a) in pairs.items()}
    own = {name: g * a for name, (g, a) in means.items() if g * a > 0}
    sizes = {name: pairs[name][0].shape[1] * pairs[name][1][..., 0].numel() for name in own}
    common = sum(sizes[name] * own[name] for name in own) / max(sum(sizes.values()), 1)
    for name in own:
        part = math.sqrt(damping * (common / own[name] if shared else 1))
        g, a = (
            _with_diagonal(factor, part * mean)
            for factor, mean in zip(pairs[name], means[name], strict=True)
        )
        yield name, (g, a)


def _with_diagonal(factor: Tensor, value: float) -> Tensor:
    """The factor in float64 with ``value`` more on its diagonals."""
    damped = factor.to(torch.float64, copy=True)
    damped.diagonal(dim1=1, dim2=2).add_(value)
    return damped


def _mean(factor: Tensor) -> float:
    mean = float(factor.diagonal(dim1=1, dim2=2).double().mean())
    if not math.isfinite(mean):
        raise UserError("criterion 'mlprune': a factor is NaN or infinite; check data and loss")
    return mean


def _inverse(factor: Tensor) -> Tensor:
    root, failed = torch.linalg.cholesky_ex(factor)
    if bool(failed.any()):
        raise UserError(
            "criterion 'mlprune': the damping is too small for factors in the precision of this "
            "model: give a larger one, e.g. 0.1, or a model in float64"
        )
    return torch.cholesky_inverse(root)


def _check(damping: float) -> None:
    if not (isinstance(damping, float | int) and math.isfinite(damping) and damping > 0):
        raise UserError(f"damping is {damping!r}: give a positive number, e.g. 0.1")
