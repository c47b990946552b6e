"""What operations of a graph hand to each other: activations."""

from __future__ import annotations

from dataclasses import dataclass

from winnow.engine.sparse_cpu.graph.map import Map, group_count
from winnow.engine.sparse_cpu.graph.storage import Storage
from winnow.kernels.arrays import Floats, Values

Views = list[Values]
"""A buffer: entry g begins with group g, so entry 0 is all of it."""


def new_buffer(shape: Map, batch: int, storage: Storage) -> Views:
    """A buffer for a batch, all zeros."""
    groups = group_count(batch)
    whole = storage.zeros(groups * shape.group)
    return [whole[g * shape.group :] for g in range(groups)]


@dataclass(frozen=True, eq=False)
class BackSums:
    """What a batch norm needs of the gradient by its output.

    ``value``: what comes into the norm; ``shift``: its mean in each channel; ``sums``: where the
    sums go, as `winnow.engine.sparse_cpu.kernels.batch_norm` has them.
    """

    value: Activation
    shift: Floats
    sums: Floats


@dataclass(frozen=True, eq=False)
class Normed:
    """What an activation is a batch norm of: value · scale + offset, then maybe a ReLU."""

    value: Activation
    scale: Floats
    offset: Floats


@dataclass(frozen=True, eq=False)
class Activation:
    """An activation. What is known of its gradient is in `Gradients`, and in who uses it.

    ``buffer``: empty where it is computed from ``normed`` whenever it is read. ``trained``: whether
    its gradient is wanted. ``rectified``: it comes out of a ReLU, so that its gradient is 0 where
    it is not positive. ``back_sums``: wanted by the batch norm, if any, that it comes out of.
    """

    map: Map
    buffer: Views
    trained: bool
    rectified: bool = False
    back_sums: BackSums | None = None
    normed: Normed | None = None
