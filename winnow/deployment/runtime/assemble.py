"""From steps to a program of kernels for a number of examples side by side."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.deployment.runtime.geometry import Geometry, geometries, is_strided, phase_counts
from winnow.deployment.runtime.kernels import code
from winnow.deployment.runtime.kernels.product import LARGEST
from winnow.deployment.runtime.kernels.program import run_program, run_program_int8
from winnow.deployment.runtime.nonzeros import dot_slices, product_nonzeros
from winnow.deployment.runtime.steps import (
    ConcatenateStep,
    MeanStep,
    PoolStep,
    ProductStep,
    ScaleStep,
    StepList,
    SumStep,
    Value,
    read_by,
)
from winnow.errors import UserError
from winnow.kernels.arrays import Floats, Int32s, Int64s
from winnow.kernels.simd import W


@dataclass(frozen=True, eq=False)
class Program:
    """Rows of `winnow.deployment.runtime.kernels.code` and the constants that they point to.

    ``lanes``: examples side by side. ``floats``: the length of the arena, which begins as zeros.
    ``inputs``, ``outputs``: numbers of one example of each.
    The first rows load the inputs, the last ones store the outputs.
    """

    lanes: int
    code: Int64s
    tables: Int32s
    weights: NDArray[Any]
    numbers: Floats
    floats: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @functools.cached_property
    def length(self) -> int:
        """How many rows it has."""
        return len(self.code) // code.WIDTH

    @functools.cached_property
    def held(self) -> tuple[Int32s, NDArray[Any], Floats]:
        """The constants, in the order in which kernels take them."""
        return self.tables, self.weights, self.numbers

    @functools.cached_property
    def run(self) -> Callable[..., None]:
        """The kernel that runs it: for float32 weights, or for those of one byte."""
        run: Callable[..., None] = (
            run_program if self.weights.dtype == np.float32 else run_program_int8
        )
        return run

    @property
    def bytes(self) -> int:
        """What its constants take, without the arena."""
        return sum(a.nbytes for a in (self.code, *self.held))


def assemble(part: StepList, lanes: int) -> Program:
    """The program of a part of a network for ``lanes`` examples: 1 or a multiple of W.

    UserError where an activation is larger than 2³¹ floats.
    """
    return _Assembler(part, lanes).program()


@dataclass
class _Constants:
    """Arrays that grow, and equal pieces of which are kept once."""

    kind: Any
    pieces: list[NDArray[Any]] = field(default_factory=list)
    length: int = 0
    known: dict[bytes, int] = field(default_factory=dict)

    def put(self, values: Any) -> int:
        """Where these values lie."""
        piece = np.ascontiguousarray(values, self.kind)
        key = piece.tobytes()
        if key not in self.known:
            self.known[key] = self.length
            self.pieces.append(piece)
            self.length += len(piece)
        return self.known[key]

    def whole(self) -> NDArray[Any]:
        """All of them, and a vector behind the last one."""
        return np.concatenate([*self.pieces, np.zeros(4 * W, self.kind)])


class _Arena:
    """Where values lie: one place serves values of one geometry, one after the other."""

    def __init__(self) -> None:
        self.length = 2 * W  # so that a place may be read in front of the first one
        self._free: defaultdict[Geometry, list[int]] = defaultdict(list)

    def take(self, geometry: Geometry) -> int:
        """Where pixel (0, 0) of channel 0 lies."""
        return self._free[geometry].pop() if self._free[geometry] else self.fresh(geometry)

    def fresh(self, geometry: Geometry) -> int:
        """A place where nothing has been: zeros."""
        begin = self.length
        self.length += geometry.size
        return begin + geometry.origin

    def release(self, geometry: Geometry, place: int) -> None:
        self._free[geometry].append(place)


class _Assembler:
    def __init__(self, part: StepList, lanes: int) -> None:
        self.part, self.lanes = part, lanes
        self.geometry, self.phases = geometries(part, lanes)
        self.tables, self.numbers = _Constants(np.int32), _Constants(np.float32)
        self.weights = _Constants(_kind(part))
        self.arena = _Arena()
        self.place: dict[Value, int] = {}
        self.uses = Counter(v for step in part.steps for v in read_by(step))
        self.uses.update(part.outputs)
        self.rows: list[Int64s] = []

    def program(self) -> Program:
        for value in self.part.inputs:
            self._row(code.LOAD, None, value, **self._border(value))
            self._used(value, 0)
        for step in self.part.steps:
            _ASSEMBLED[type(step)](self, step)
            for value in read_by(step):
                self._used(value, 1)
            self._used(step.out, 0)
        for value in self.part.outputs:
            self._row(code.STORE, value, None, **self._border(value))
        if self.arena.length > np.iinfo(np.int32).max:
            raise UserError("the activations exceed 2³¹ floats: the input is too large")
        return Program(
            self.lanes, np.concatenate(self.rows),
            self.tables.whole(), self.weights.whole(), self.numbers.whole(),
            self.arena.length,
            tuple(v.size for v in self.part.inputs), tuple(v.size for v in self.part.outputs),
        )  # fmt: skip

    # ---- values

    def _at(self, value: Value) -> int:
        if value not in self.place:
            self.place[value] = self.arena.take(self.geometry[value])
        return self.place[value]

    def _used(self, value: Value, times: int) -> None:
        """Give up the place of a value that nothing reads any more."""
        self.uses[value] -= times
        if self.uses[value] <= 0 and value in self.place:
            self.arena.release(self.geometry[value], self.place.pop(value))

    def _row(
        self, operation: int, x: Value | None = None, out: Value | None = None, **more: int
    ) -> None:
        row = np.full(code.WIDTH, -1, np.int64)
        row[code.OPERATION], row[code.LANES], row[code.RELU] = operation, self.lanes, 0
        if out is not None:
            row[code.CHANNELS] = out.channels
            row[code.OUT], row[code.OUT_PLANE] = self._at(out), self.geometry[out].plane
        if x is not None:
            row[code.X], row[code.X_PLANE] = self._at(x), self.geometry[x].plane
        for name, value in more.items():
            row[getattr(code, name)] = value
        self.rows.append(row)

    def _border(self, value: Value) -> dict[str, int]:
        """How examples come in and go out: by a table, or row by row where there is one."""
        geometry = self.geometry[value]
        if self.lanes > 1:
            places = self.tables.put(geometry.places())
            return {"FEATURES": value.size, "PLACES_AT": places, "CHANNELS": value.channels}
        channels, rows, floats = value.channels, value.height, value.width
        if geometry.plane == 1:  # features are one row
            channels, floats = 1, value.channels
        return {
            "FEATURES": value.size,
            "CHANNELS": channels,
            "ROWS": rows,
            "ROW_FLOATS": floats,
            "ROW_STEP": geometry.row,
        }

    # ---- steps

    def multiply(self, step: ProductStep) -> None:
        source, at = self.geometry[step.x], self._at(step.x)
        if is_strided(step):
            source = self.phases[step]
            at = self._phases(step, source)
        more = {"X": at, "RELU": int(step.relu)}
        if step.residual is not None:
            more |= {
                "RESIDUAL": self._at(step.residual),
                "RESIDUAL_PLANE": self.geometry[step.residual].plane,
            }
        if self.lanes == 1 and step.out.pixels == (1, 1):
            self._dots(step, source, more)
        else:
            self._multiply(step, source, more)

    def _phases(self, step: ProductStep, target: Geometry) -> int:
        at = self.arena.fresh(target)  # and for good: what is no pixel of a phase must stay 0
        down, right = phase_counts(step)
        self._row(
            code.PHASES, x=step.x, CHANNELS=step.x.channels, OUT=at, OUT_PLANE=target.plane,
            X_ROW=self._row_step(step.x), OUT_ROW=target.row * self.lanes,
            HEIGHT=step.x.height, WIDE=step.x.width, KERNEL_H=down, KERNEL_W=right,
            STRIDE_H=step.stride[0], STRIDE_W=step.stride[1],
        )  # fmt: skip
        return at

    def _multiply(self, step: ProductStep, source: Geometry, more: dict[str, int]) -> None:
        target = self.geometry[step.out]
        blocks = target.blocks()
        listed = product_nonzeros(step, source, max(count for _, count in blocks))
        where = [[f for f, count in blocks if count == n] for n in range(LARGEST, 0, -1)]
        counts = [len(of) for of in reversed(where)]
        masked = self.lanes == 1 and not target.valid().all()
        self._row(
            code.MULTIPLY, x=step.x, out=step.out, SLABS=listed.slabs,
            START_AT=self.tables.put(listed.start), OFFSET_AT=self.tables.put(listed.offset),
            BIAS_AT=self.numbers.put(step.bias),
            MASK_AT=self.numbers.put(target.valid()) if masked else -1,
            BLOCKS_AT=self.tables.put(np.concatenate([counts, *where])),
            **self._held(listed.values, step.weights.scale), **more,
        )  # fmt: skip

    def _dots(self, step: ProductStep, source: Geometry, more: dict[str, int]) -> None:
        plane = self.geometry[step.out].plane
        listed = dot_slices(step, source)
        bias, scale = listed.of(step.bias), step.weights.scale
        scales = None if scale is None else listed.of(scale)
        self._row(
            code.DOTS, x=step.x, out=step.out, CHANNELS=len(listed.start) - 1,
            START_AT=self.tables.put(np.concatenate([listed.start, listed.rows(plane)])),
            OFFSET_AT=self.tables.put(listed.offset), BIAS_AT=self.numbers.put(bias),
            **self._held(listed.values, scales), **more,
        )  # fmt: skip

    def _held(self, values: NDArray[Any], scale: Floats | None) -> dict[str, int]:
        at = {"WEIGHT_AT": self.weights.put(values)}
        return at if scale is None else at | {"SCALE_AT": self.numbers.put(scale)}

    def _row_step(self, value: Value) -> int:
        return self.geometry[value].row * self.lanes

    def pool(self, step: PoolStep) -> None:
        self._row(
            code.POOL, x=step.x, out=step.out, HEIGHT=step.out.height, WIDE=step.out.width,
            X_ROW=self._row_step(step.x), OUT_ROW=self._row_step(step.out),
            KERNEL_H=step.kernel[0], KERNEL_W=step.kernel[1], STRIDE_H=step.stride[0],
            STRIDE_W=step.stride[1], PAD_H=step.padding[0], PAD_W=step.padding[1],
            AVERAGE=int(step.average),
        )  # fmt: skip

    def mean(self, step: MeanStep) -> None:
        self._row(
            code.MEAN, x=step.x, out=step.out, HEIGHT=step.x.height, WIDE=step.x.width,
            X_ROW=self._row_step(step.x),
        )  # fmt: skip

    def add(self, step: SumStep) -> None:
        other = -1 if step.other is None else self._at(step.other)
        geometry = self.geometry[step.out]
        count = (geometry.channels - 1) * geometry.plane + geometry.span
        self._row(
            code.ADD, x=step.x, out=step.out, OTHER=other, COUNT=count, RELU=int(step.relu)
        )  # fmt: skip

    def scale(self, step: ScaleStep) -> None:
        geometry = self.geometry[step.out]
        runs = geometry.runs()
        masked = self.lanes == 1 and not geometry.valid().all()
        table = np.array([len(runs), *(n for run in runs for n in run)])
        self._row(
            code.SCALE, x=step.x, out=step.out, RELU=int(step.relu),
            SCALE_AT=self.numbers.put(step.scale), BIAS_AT=self.numbers.put(step.shift),
            MASK_AT=self.numbers.put(geometry.valid()) if masked else -1,
            BLOCKS_AT=self.tables.put(table),
        )  # fmt: skip

    def concatenate(self, step: ConcatenateStep) -> None:
        begin, plane = self._at(step.out), self.geometry[step.out].plane
        for part in step.parts:
            self._row(
                code.COPY, x=part, CHANNELS=part.channels, OUT=begin, OUT_PLANE=plane,
                COUNT=self.geometry[part].span,
            )  # fmt: skip
            begin += part.channels * plane


def _kind(part: StepList) -> Any:
    """The type of all weights of a part."""
    kinds = {s.weights.values.dtype for s in part.steps if isinstance(s, ProductStep)}
    if len(kinds) > 1:
        raise ValueError(f"the layers of one part have weights of several types: {kinds}")
    return next(iter(kinds), np.dtype(np.float32))


_ASSEMBLED: dict[type, Any] = {
    ProductStep: _Assembler.multiply,
    PoolStep: _Assembler.pool,
    MeanStep: _Assembler.mean,
    SumStep: _Assembler.add,
    ScaleStep: _Assembler.scale,
    ConcatenateStep: _Assembler.concatenate,
}
