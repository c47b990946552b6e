"""Wanda: score = |w|·‖x‖, x the inputs that the weight multiplies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from winnow.criteria.base import Subject
from winnow.criteria.layer_inputs import LayerInputs, all_square_sums
from winnow.criteria.traits import Pruned, traits
from winnow.layers import axes_of
from winnow.patterns.axes import USUAL_AXES, as_units, as_weight
from winnow.patterns.shares import Kept


def wanda_layers(subject: Subject, choices: Mapping[str, Kept]) -> Iterator[Pruned]:
    """The layers in the order in which the model runs them, each scored by what comes in once those
    before are pruned, as the authors' code does: weights by name, what stays of each.

    The inputs of one layer are looked at at a time, see `layer_inputs.LayerInputs`.
    """
    axes = axes_of(subject.model)
    came = LayerInputs(subject)
    for name in came:
        weight = subject.weights[name]
        own = axes.get(id(weight), USUAL_AXES)
        scores = _scores(as_units(weight.detach(), own), came.square_sums(name))
        keep = choices[name].keep(scores)
        yield Pruned(name, as_weight(keep, weight.shape, own))


@traits(scope="row", layerwise=wanda_layers)
def wanda(subject: Subject) -> dict[str, Tensor]:
    """|w|·‖x‖₂, x the inputs that w multiplies, over all examples and positions.

    Sun et al. 2024, "A simple and effective pruning approach for large language models", equation
    1. Weights compete within each output (scope "row") unless told otherwise; needs data, and no
    loss: one forward pass, in which every layer adds the squares of its inputs to one vector. The
    inputs of a convolution are its patches. Which layers are covered: `criteria.inputs.watching`.

    Here all layers see what comes in before any is pruned; ``wn.prune_trained`` goes layer by
    layer, as the authors do. Departure: they divide the norm by the number of sequences, which
    changes no ranking within a layer; exact counts are `wn.prune`'s (they round down the number
    that goes).
    """
    axes, sums = axes_of(subject.model), all_square_sums(subject)
    scores = {}
    for name, weight in subject.weights.items():
        own = axes.get(id(weight), USUAL_AXES)
        scores[name] = as_weight(
            _scores(as_units(weight.detach(), own), sums[name]), weight.shape, own
        )
    return scores


def _scores(matrix: Tensor, squares: Tensor) -> Tensor:
    """(units, inputs); ``squares`` (groups, inputs) for as many groups of units."""
    wide = torch.promote_types(matrix.dtype, torch.float32)
    norms = squares.sqrt().to(wide)
    return norms.repeat_interleave(len(matrix) // len(norms), 0) * matrix.abs().to(wide)
