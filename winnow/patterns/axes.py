"""A weight as a matrix (units, inputs), whatever the order of its axes.

A row for each output, a column for each input. The inputs of a unit of a convolution are its
channels × the taps of its kernel, all taps of one channel together (``weight.flatten(1)``); a
grouped convolution has the inputs of a unit only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from winnow.errors import UserError
from winnow.layers import LayerWeight, axes_of

USUAL_AXES = LayerWeight("weight", "linear")
"""(outputs, inputs, …): the axes of a weight of which nothing else is known."""

Axes = Mapping[str, LayerWeight]
"""By the name of a weight; those without one have the usual axes."""


def named_axes(model: nn.Module, weights: Mapping[str, nn.Parameter]) -> dict[str, LayerWeight]:
    """The axes of those of the weights whose layer is known."""
    known = axes_of(model)
    return {name: known[id(weight)] for name, weight in weights.items() if id(weight) in known}


def axes_from(inputs: Mapping[str, int]) -> dict[str, LayerWeight]:
    """Axes where ``inputs`` says which of the first two is that of the inputs: 1, or 0 for (inputs,
    outputs). UserError for another number.
    """
    found = {}
    for name, axis in inputs.items():
        if isinstance(axis, bool) or axis not in (0, 1):
            raise UserError(
                f"inputs of {name!r} is {axis!r}: give the axis of the inputs, 1 for weights "
                "(outputs, inputs, …), 0 for (inputs, outputs, …)"
            )
        found[name] = LayerWeight("weight", "linear", outputs=1 - axis, inputs=axis)
    return found


def as_units(tensor: Tensor, axes: LayerWeight = USUAL_AXES) -> Tensor:
    """The matrix (units, inputs) of a weight or what is shaped like one; a view where possible."""
    if axes.inputs == 1:
        return tensor.reshape(tensor.shape[0], -1)
    groups = axes.groups  # of (inputs of all groups, outputs of one group, …)
    split = tensor.reshape(groups, tensor.shape[0] // groups, tensor.shape[1], -1)
    return split.transpose(1, 2).reshape(groups * tensor.shape[1], -1)


def as_weight(matrix: Tensor, shape: Sequence[int], axes: LayerWeight = USUAL_AXES) -> Tensor:
    """What ``as_units`` took apart, in its shape and contiguous."""
    if axes.inputs == 1:
        return matrix.reshape(tuple(shape)).contiguous()
    groups = axes.groups
    split = matrix.reshape(groups, shape[1], shape[0] // groups, -1)
    return split.transpose(1, 2).reshape(tuple(shape)).contiguous()


def inputs_of(name: str, shape: Sequence[int], axes: Axes) -> int:
    """How many inputs each unit has. UserError for a tensor without outputs and inputs."""
    if len(shape) < 2:
        raise UserError(
            f"{name!r} has the shape {list(shape)}, without outputs and inputs, and rows, patterns "
            "and blocks are made of these; leave it out with ignore= or params="
        )
    own = axes.get(name, USUAL_AXES)
    units = shape[0] if own.inputs == 1 else own.groups * shape[1]
    return math.prod(shape) // units if units else 0
