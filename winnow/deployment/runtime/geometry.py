"""How a map lies in memory, for one example or for several side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from winnow.deployment.runtime.kernels.product import LARGEST
from winnow.deployment.runtime.steps import (
    ConcatenateStep,
    MapStep,
    PoolStep,
    ProductStep,
    ScaleStep,
    StepList,
    SumStep,
    Value,
    read_by,
)
from winnow.kernels.arrays import Int64s, padded
from winnow.kernels.simd import W


@dataclass(frozen=True)
class Geometry:
    """A map (C, H, W) with zeros around it, ``lanes`` examples side by side.

    ``row``: pixels from a row to the next. ``border``: rows of zeros above a plane, which are those
    below the one before, and columns left of a row, which are those right of the one before.
    Places are counted in floats from pixel (0, 0) of channel 0.
    """

    channels: int
    height: int
    width: int
    row: int
    border: int
    lanes: int

    @property
    def span(self) -> int:
        """From the first pixel of a plane to the end of its last one."""
        return ((self.height - 1) * self.row + self.width) * self.lanes

    @property
    def plane(self) -> int:
        """From a channel to the next: of single examples whole vectors, except features."""
        whole = (self.height + self.border) * self.row * self.lanes
        if self.lanes > 1 or whole == 1:
            return whole
        return padded(max(whole, padded(self.span)))

    @property
    def origin(self) -> int:
        """Floats before the first pixel, in whole vectors."""
        return padded(self.border * (self.row + 1) * self.lanes + W)

    @property
    def size(self) -> int:
        """All floats, with what vectors read and write behind the last pixel."""
        return padded(2 * self.origin + self.channels * self.plane + LARGEST * W)

    def places(self) -> Int64s:
        """(C · H · W,) where each number lies, in the order of channels, rows and columns."""
        c, i, j = np.ogrid[: self.channels, : self.height, : self.width]
        places: Int64s = (c * self.plane + (i * self.row + j) * self.lanes).reshape(-1)
        return places

    def valid(self) -> Int64s:
        """(span, in whole vectors) 1 where a float of a plane is a pixel, else 0."""
        f = np.arange(padded(self.span))
        pixel = f // self.lanes
        inside = (pixel % self.row < self.width) & (f < self.span)
        return inside.astype(np.int64)

    def runs(self) -> list[tuple[int, int]]:
        """Where vectors of pixels begin in a plane, and how many there are.

        Single examples: all rows at once, with what lies between them; else row by row.
        """
        if self.lanes == 1:
            return [(0, padded(self.span) // W)]
        step = self.row * self.lanes
        return [(i * step, self.width * self.lanes // W) for i in range(self.height)]

    def blocks(self) -> list[tuple[int, int]]:
        """Blocks of up to `LARGEST` vectors, as even as can be, that cover the runs: (where, how
        many vectors)."""
        made = []
        for begin, count in self.runs():
            pieces = -(-count // LARGEST)
            at = begin
            for i in range(pieces):
                vectors = count // pieces + (i < count % pieces)
                made.append((at, vectors))
                at += vectors * W
        return made


def phase_value(step: ProductStep) -> Value:
    """The phases of the input of a product with strides, as channels."""
    (sh, sw), (kh, kw) = step.stride, phase_counts(step)
    high, wide = (-(-side // s) for side, s in zip(step.x.pixels, (sh, sw), strict=True))
    return Value(kh * kw * step.x.channels, high, wide)


def phase_counts(step: ProductStep) -> tuple[int, int]:
    """How many first rows and columns some tap of the kernel needs: all of them up to the last."""
    sides = zip(step.weights.shape[2:], step.stride, step.padding, step.dilation, strict=True)
    down, right = (max((t * d - p) % s for t in range(k)) + 1 for k, s, p, d in sides)
    return down, right


def phase_border(step: ProductStep) -> int:
    """The border that a map of phases, or the input of a product without stride, needs."""
    needed = 0
    sides = zip(
        step.weights.shape[2:], step.stride, step.padding, step.dilation, step.out.pixels,
        step.x.pixels, strict=True,
    )  # fmt: skip
    for k, s, p, d, out, side in sides:
        before, after = -((0 - p) // s), (((k - 1) * d - p) // s) + out - -(-side // s)
        needed = max(needed, before, after)
    return needed


def is_strided(step: MapStep) -> bool:
    """Whether a product takes phases of its input."""
    return isinstance(step, ProductStep) and step.stride != (1, 1)


def geometries(
    part: StepList, lanes: int
) -> tuple[dict[Value, Geometry], dict[ProductStep, Geometry]]:
    """The geometry of every value, and of the phases of every product with strides.

    What a step reads and writes at the same places has rows of one length; sums have one geometry.
    """
    rows, wholes = _Groups(), _Groups()
    phases = {s: phase_value(s) for s in part.steps if isinstance(s, ProductStep) and is_strided(s)}
    border: dict[Value, int] = {}
    for step in part.steps:
        if isinstance(step, ProductStep) and step.out.pixels != (1, 1):
            rows.join(phases.get(step, step.x), step.out)
            if step.residual is not None:
                rows.join(step.residual, step.out)
        elif isinstance(step, (SumStep, ScaleStep)):
            for value in read_by(step):
                wholes.join(value, step.out)
                rows.join(value, step.out)
        elif isinstance(step, ConcatenateStep):
            for value in step.parts:
                rows.join(value, step.out)
        if isinstance(step, ProductStep):
            source = phases.get(step, step.x)
            border[source] = max(border.get(source, 0), phase_border(step))
        elif isinstance(step, PoolStep):
            border[step.x] = max(border.get(step.x, 0), *step.padding)
    values = [*_all(part), *phases.values()]
    wide = wholes.most(values, border)
    length = rows.most(values, {v: v.width + wide[v] for v in values})
    made = {v: Geometry(v.channels, v.height, v.width, length[v], wide[v], lanes) for v in values}
    return made, {step: made[value] for step, value in phases.items()}


def _all(part: StepList) -> Iterator[Value]:
    seen = dict.fromkeys(part.inputs)
    for step in part.steps:
        seen |= dict.fromkeys([*read_by(step), step.out])
    return iter(seen)


class _Groups:
    """Values that have something in common."""

    def __init__(self) -> None:
        self._leader: dict[Value, Value] = {}

    def find(self, value: Value) -> Value:
        while self._leader.get(value, value) is not value:
            value = self._leader[value]
        return value

    def join(self, a: Value, b: Value) -> None:
        self._leader[self.find(a)] = self.find(b)

    def most(self, values: Iterable[Value], number: dict[Value, int]) -> dict[Value, int]:
        """For each value the largest number of its group."""
        values = list(values)
        largest: dict[Value, int] = {}
        for value in values:
            leader = self.find(value)
            largest[leader] = max(largest.get(leader, 0), number.get(value, 0))
        return {value: largest[self.find(value)] for value in values}
