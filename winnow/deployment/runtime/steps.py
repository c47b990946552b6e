"""What a part of a network computes, step by step, before it is laid out for a number of examples.

Values are maps (C, H, W) of one example; features are maps of one pixel. A flattened map is the map
itself, whose features are its floats in the order of channels, rows and columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.kernels.arrays import Floats, Int64s


@dataclass(eq=False)
class Value:
    """A map. ``rectified``: none of its numbers is negative."""

    channels: int
    height: int
    width: int
    rectified: bool = False

    @property
    def size(self) -> int:
        """Numbers of one example."""
        return self.channels * self.height * self.width

    @property
    def pixels(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True, eq=False)
class SparseWeights:
    """The nonzeros of a layer.

    ``shape``: (O, I, kh, kw) of the dense weights, I for one group. ``index``: (nonzeros,) where
    they are in these, ascending. ``values``: (nonzeros,) float32, or int8 with ``scale`` (O,).
    ``rank``: 2 for a linear layer's (O, I), whose last two sizes are 1 here.
    """

    name: str
    shape: tuple[int, int, int, int]
    index: Int64s
    values: NDArray[Any]
    scale: Floats | None = None
    rank: int = 4

    @property
    def density(self) -> float:
        """Nonzeros, as a fraction."""
        return len(self.index) / max(int(np.prod(self.shape)), 1)

    def dense(self) -> Floats:
        """(O, I, kh, kw) float32."""
        flat = np.zeros(int(np.prod(self.shape)), np.float32)
        flat[self.index] = self.values
        whole = flat.reshape(self.shape)
        return whole if self.scale is None else whole * self.scale[:, None, None, None]


@dataclass(eq=False)
class ProductStep:
    """A convolution; a linear layer is one whose kernel is the whole map ``x``."""

    weights: SparseWeights
    bias: Floats  # (O,)
    x: Value
    out: Value
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    residual: Value | None = None
    relu: bool = False


@dataclass(eq=False)
class PoolStep:
    """The maximum or average of windows."""

    x: Value
    out: Value
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    average: bool


@dataclass(eq=False)
class MeanStep:
    """The mean over all pixels."""

    x: Value
    out: Value


@dataclass(eq=False)
class SumStep:
    """The sum of two maps; of one where ``other`` is None."""

    x: Value
    other: Value | None
    out: Value
    relu: bool = False


@dataclass(eq=False)
class ScaleStep:
    """Each channel times a number plus another one."""

    x: Value
    out: Value
    scale: Floats
    shift: Floats
    relu: bool = False


@dataclass(eq=False)
class ConcatenateStep:
    """The channels of several maps, one after the other."""

    parts: list[Value]
    out: Value


MapStep = ProductStep | PoolStep | MeanStep | SumStep | ScaleStep | ConcatenateStep


@dataclass(eq=False)
class StepList:
    """A part of a network: what comes in, the steps in order, what goes out."""

    inputs: list[Value] = field(default_factory=list)
    steps: list[MapStep] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)


def read_by(step: MapStep) -> list[Value]:
    """The values that a step reads."""
    if isinstance(step, ConcatenateStep):
        return list(step.parts)
    more = step.residual if isinstance(step, ProductStep) else None
    more = step.other if isinstance(step, SumStep) else more
    return [step.x] if more is None else [step.x, more]
