"""Runs a part of a network for any number of examples."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from winnow.deployment.runtime.assemble import Program
from winnow.errors import UserError
from winnow.kernels.arrays import NO_FLOATS, Floats, aligned

_REMEMBERED = 256  # numbers of examples


class Runner(nn.Module):
    """A part of a network, as programs for different numbers of examples side by side.

    Tensors in and out have one example for each index of their leading dimensions: the first one
    (maps, features), or all but the last (tokens).
    """

    def __init__(
        self,
        programs: Mapping[int, Program],
        seconds: Mapping[int, float],
        ranks: Sequence[int],
        shapes: Sequence[tuple[int, ...]],
    ) -> None:
        """``programs``: by their lanes; ``seconds``: what one call of each takes. ``ranks``: of the
        inputs; ``shapes``: of an example of each output.
        """
        super().__init__()
        self.programs, self.seconds = dict(programs), dict(seconds)
        self.leading = 1 if ranks[0] in (2, 4) else ranks[0] - 1
        self.shapes = tuple(shapes)
        self._sizes = next(iter(self.programs.values())).inputs
        self._passes: dict[int, tuple[tuple[int, int], ...]] = {}
        self._arenas = threading.local()  # calls in several threads do not meet

    def passes(self, count: int) -> tuple[tuple[int, int], ...]:
        """For so many examples: lanes, and from which example on; the fastest for the rest each."""
        if count not in self._passes:
            made, first = [], 0
            while first < count:
                left = count - first
                lanes = min(self.programs, key=lambda n: (self.seconds[n] / min(n, left), n))
                made.append((lanes, first))
                first += lanes
            if len(self._passes) >= _REMEMBERED:
                self._passes.clear()
            self._passes[count] = tuple(made)
        return self._passes[count]

    def forward(self, *given: Tensor) -> Any:
        inputs = [x.detach().numpy() for x in given]
        lead = inputs[0].shape[: self.leading]
        arrays = [np.empty((*lead, *shape), np.float32) for shape in self.shapes]
        count = lead[0] if self.leading == 1 else math.prod(lead)
        # copies only what is not contiguous, which reshaping alone may leave with steps between
        flat = [np.ascontiguousarray(x).reshape(-1) for x in inputs]
        for x, size in zip(flat, self._sizes, strict=True):
            if len(x) != count * size:  # kernels would read what is not theirs
                raise UserError(
                    f"{count} examples of {size} numbers were expected, not {len(x)} numbers: this "
                    "network was deployed for inputs of other sizes"
                )
        self._pass(flat, [array.reshape(-1) for array in arrays], count)
        # numpy makes small arrays faster than torch does, and both share the memory
        if len(arrays) == 1:
            return torch.from_numpy(arrays[0])
        return tuple(torch.from_numpy(array) for array in arrays)

    def _pass(self, inputs: list[Floats], targets: list[Floats], count: int) -> None:
        for lanes, first in self.passes(count):
            program = self.programs[lanes]
            if count - first >= lanes:
                self._run(program, inputs, targets, first)
            else:
                self._rest(program, inputs, targets, first, count - first)

    def _arena(self, program: Program) -> Floats:
        held: Any = self._arenas.__dict__  # of this thread
        try:
            arena: Floats = held[program.lanes]
        except KeyError:
            arena = held[program.lanes] = aligned(program.floats, 0.0)
        return arena

    def _run(
        self, program: Program, inputs: list[Floats], targets: list[Floats], first: int
    ) -> None:
        """The first input and output go along with all between; others come before and after."""
        arena, held = self._arena(program), program.held
        more, ends = len(inputs) - 1, program.length - len(targets) + 1
        for i in range(more):
            program.run(program.code, i, i + 1, first, *held, arena, inputs[i], NO_FLOATS)
        program.run(program.code, more, ends, first, *held, arena, inputs[more], targets[0])
        for i in range(1, len(targets)):
            last = ends + i - 1
            program.run(program.code, last, last + 1, first, *held, arena, NO_FLOATS, targets[i])

    def _rest(
        self, program: Program, inputs: list[Floats], targets: list[Floats], first: int, count: int
    ) -> None:
        """Fewer examples than there are lanes: the others are zeros."""
        whole = [np.zeros(program.lanes * size, np.float32) for size in program.inputs]
        for to, x, size in zip(whole, inputs, program.inputs, strict=True):
            to[: count * size] = x[first * size : (first + count) * size]
        made = [np.empty(program.lanes * size, np.float32) for size in program.outputs]
        self._run(program, whole, made, 0)
        for to, value, size in zip(targets, made, program.outputs, strict=True):
            to[first * size : (first + count) * size] = value[: count * size]
