"""SparseGPT: weights go column by column, and those to the right make up for them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from torch import Tensor

from winnow.criteria.base import Subject
from winnow.criteria.elimination import BLOCKSIZE, Factor, eliminate, factorised, removal_costs
from winnow.criteria.layer_inputs import LayerInputs
from winnow.criteria.traits import Pruned, traits
from winnow.errors import UserError
from winnow.layers import LayerWeight, axes_of
from winnow.mask import Mask
from winnow.patterns.axes import USUAL_AXES, as_units, as_weight
from winnow.patterns.shares import Given, Kept


def sparsegpt_layers(
    subject: Subject,
    choices: Mapping[str, Kept],
    *,
    damping: float = 0.01,
    blocksize: int = BLOCKSIZE,
) -> Iterator[Pruned]:
    """The layers in the order in which the model runs them, each pruned and updated by what comes
    in once those before are, as the authors' code does. See `sparsegpt`.

    One matrix (inputs × inputs) is held at a time, see `layer_inputs.LayerInputs`.
    """
    _check(damping, blocksize)
    axes = axes_of(subject.model)
    came = LayerInputs(subject)
    for name in came:
        weight = subject.weights[name]
        own = axes.get(id(weight), USUAL_AXES)
        matrix = _as_groups(weight, own, came.gram(name), damping)
        keep, updated = eliminate(*matrix, choices[name], blocksize)
        change = as_weight(updated, weight.shape, own).to(weight.dtype) - weight.detach()
        yield Pruned(name, as_weight(keep, weight.shape, own), change)


def column_surgeon(
    subject: Subject, mask: Mask, *, damping: float = 0.01, blocksize: int = BLOCKSIZE
) -> Iterator[tuple[str, Tensor]]:
    """The update of SparseGPT for a mask that is given: column after column, the weights to the
    right that stay make up for those that go. Layers in the order in which the model runs them.
    """
    if missing := [name for name in mask if name not in subject.weights]:
        raise UserError(f"the mask names {missing[:3]}, which are not among the subject's weights")
    axes = axes_of(subject.model)
    choices = {
        name: Given(as_units(keep, axes.get(id(subject.weights[name]), USUAL_AXES)))
        for name, keep in mask.items()
    }
    for one in sparsegpt_layers(subject, choices, damping=damping, blocksize=blocksize):
        assert one.change is not None
        yield one.name, one.change


@traits(scope="layer", surgeon=column_surgeon, layerwise=sparsegpt_layers)
def sparsegpt(
    subject: Subject, *, damping: float = 0.01, blocksize: int = BLOCKSIZE
) -> dict[str, Tensor]:
    """w²/U²ⱼⱼ, with UᵀU = (Σ x xᵀ + λI)⁻¹ and U upper triangular: what it costs to remove the
    weight of input j when the weights of later inputs make up for it (the optimal brain surgeon).

    Frantar & Alistarh 2023, "SparseGPT: Massive Language Models Can be Accurately Pruned in
    One-Shot", algorithm 1. Meant for ``wn.prune_trained``, which goes layer by layer: in each it
    walks over the inputs from left to right, chooses what goes among the next ``blocksize`` (of a
    pattern N:M among the next M), sets it to 0, and lets all weights to the right make up for it.
    λ is the fraction ``damping`` of the mean of the diagonal. Needs data, and no loss; biases stay.

    Departures from the authors' code: counts are exact, by `winnow.topk` with ties to the lower
    index, where the code removes all that is at most a threshold and so one more of each block of
    columns; a layer's count is shared out over blocks of columns by what is left in them. Inputs
    that are always 0 score 0, but what is kept of their weights stays as it is, where the code
    clears it; they do not count in the mean for λ. Patterns whose M does not divide the block of
    columns get the next smaller block that it does. As a score (``wn.score``) all layers see what
    comes in before any is pruned, and nothing is updated in between.
    """
    _check(damping, blocksize)
    axes, scores = axes_of(subject.model), {}
    came = LayerInputs(subject)
    for name in came:
        weight = subject.weights[name]
        own = axes.get(id(weight), USUAL_AXES)
        matrix, factor = _as_groups(weight, own, came.gram(name), damping)
        diagonal = factor.upper.diagonal(dim1=1, dim2=2)
        found = removal_costs(matrix, diagonal, factor.dead).flatten(0, 1)
        scores[name] = as_weight(found, weight.shape, own)
    return {name: scores[name] for name in subject.weights}


def _as_groups(
    weight: Tensor, axes: LayerWeight, total: Tensor, damping: float
) -> tuple[Tensor, Factor]:
    """The weights (groups, units of a group, inputs), and the factor of what comes in."""
    matrix = as_units(weight.detach(), axes).to(total.dtype)
    return matrix.reshape(len(total), -1, matrix.shape[1]), factorised(total, damping)


def _check(damping: float, blocksize: int) -> None:
    if not (isinstance(damping, float | int) and math.isfinite(damping) and damping >= 0):
        raise UserError(f"damping is {damping!r}: give a number from 0, e.g. 0.01")
    if isinstance(blocksize, bool) or not isinstance(blocksize, int) or blocksize < 1:
        raise UserError(f"blocksize is {blocksize!r}: give a number of inputs, e.g. 128")
