"""Patterns over weights that are stored (inputs, outputs): the method sees them turned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from winnow.algorithms.dynamic.grained import check_same_cells, spread_out
from winnow.algorithms.dynamic.method import Change, DynamicMethod, Memory, Moment
from winnow.algorithms.dynamic.timing import Timing
from winnow.errors import UserError
from winnow.layers import LayerWeight
from winnow.mask import Mask
from winnow.patterns.axes import named_axes
from winnow.selection import uncompiled
from winnow.state import Tensors


def turned_for(
    method: DynamicMethod, model: nn.Module, weights: Mapping[str, nn.Parameter]
) -> DynamicMethod:
    """The method, such that its pattern is along the inputs of every layer of the model.

    UserError for a grouped transposed convolution, whose units are spread over both axes.
    """
    if method.grain is None:
        return method
    axes = named_axes(uncompiled(model), weights)
    if grouped := [name for name, own in axes.items() if own.inputs == 0 and own.groups > 1]:
        raise UserError(
            f"{grouped[0]!r} is of a grouped transposed convolution, in which {method.name} cannot "
            f"keep {method.grain}: leave it out with ignore= or params="
        )
    names = frozenset(name for name, own in axes.items() if _is_turned(own))
    return cast(DynamicMethod, Turned(method, names)) if names else method


def check_start(method: DynamicMethod, given: Mask, first: Mask) -> None:
    """UserError unless a given mask keeps the method's pattern as its first mask does."""
    if isinstance(method, Turned):
        given, first = (Mask(method.shown(mask)) for mask in (given, first))
    check_same_cells(method.grain, given, first)


def _is_turned(axes: LayerWeight) -> bool:
    return axes.inputs == 0


class Turned:
    """A method that is shown some weights with their first two axes exchanged.

    It must be one without memory, values for what it grows and perturbations.
    """

    def __init__(self, method: DynamicMethod, names: frozenset[str]) -> None:
        self.method, self.names = method, names
        self.name, self.when = method.name, method.when
        self.dense_slots, self.starts_dense = method.dense_slots, method.starts_dense
        self.scoped, self.extra_cost = method.scoped, method.extra_cost
        self.density, self.protects, self.grain = method.density, method.protects, method.grain

    def timing(self, steps: int, per_epoch: int | None) -> Timing:
        """That of the method."""
        return self.method.timing(steps, per_epoch)

    def keeps(self, shapes: Mapping[str, Sequence[int]]) -> int:
        """That of the method, of the shapes that it sees."""
        return self.method.keeps({name: self._shape(name, s) for name, s in shapes.items()})

    def start(self, weights: Tensors, seed: int) -> Mask:
        """The method's first mask, turned back."""
        return Mask(self.shown(self.method.start(self.shown(weights), seed)))

    def memory(self, weights: Tensors, mask: Mask, seed: int) -> Memory:
        """That of the method."""
        return self.method.memory(self.shown(weights), Mask(self.shown(mask)), seed)

    def update(self, at: Moment) -> Change | None:
        """The method's update, turned back."""

        def kept() -> dict[str, Tensor]:
            values = at.kept()
            dense = {name: spread_out(values[name], keep) for name, keep in at.mask.items()}
            mask = self.shown(at.mask)
            return {name: d[mask[name].to(d.device)] for name, d in self.shown(dense).items()}

        seen = replace(
            at,
            mask=self.shown(at.mask),
            known=None,
            kept=kept,
            gradient=lambda: self.shown(at.gradient()),
            momentum=lambda: self.shown(at.momentum()),
        )
        change = self.method.update(seen)
        return None if change is None else replace(change, mask=self.shown(change.mask), known=None)

    def shown(self, tensors: Tensors) -> dict[str, Tensor]:
        """As the method sees them; and back."""
        return {
            name: tensor.transpose(0, 1).contiguous() if name in self.names else tensor
            for name, tensor in tensors.items()
        }

    def _shape(self, name: str, shape: Sequence[int]) -> Sequence[int]:
        return (shape[1], shape[0], *shape[2:]) if name in self.names else shape
