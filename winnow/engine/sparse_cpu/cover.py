"""Covering the pixels of a map with blocks of the shapes that kernels are compiled for.

A block has as many vectors as registers can hold beside a weight and an address, if the map has so
many pixels: 4 x 4 where there are 32 registers. What such blocks leave over takes smaller ones,
over several groups at once, as an addition must not wait for the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.core import types
from numpy.typing import NDArray

from winnow.engine.sparse_cpu.block import Block, zero_block
from winnow.engine.sparse_cpu.cache import kernel
from winnow.engine.sparse_cpu.simd import W, operation

Numbers = NDArray[np.int64]

# What a grid holds: pixels to compute, then steps in the input and in the output, in floats.
GROUPS, ROWS, COLUMNS, IN_GROUP, IN_ROW, IN_PIXEL, OUT_GROUP, OUT_ROW, OUT_PIXEL = range(9)

REGISTERS = 16 if W == 16 else 8  # for sums: half of what AVX-512, or AVX2, has
_SIDES = (4, 2, 1)
_STEPS = (1, 2)  # vectors between the pixels of a block; others go pixel by pixel


def cover(work: Callable[..., None]) -> Any:
    """A kernel (grid, task, part) that calls ``work`` with blocks that cover all pixels.

    ``work`` takes a block of zeros of the shape to use, the task and the part as they are, the
    group, row and column where the block begins, and whether it ends with the last group.
    """
    choose = _dispatcher(work)

    @kernel
    def cover_pixels(grid: Numbers, task: Any, part: int) -> None:
        groups, rows, columns = grid[GROUPS], grid[ROWS], grid[COLUMNS]
        step = grid[IN_PIXEL] // W
        group = 0
        while group < groups:
            some = min(4, groups - group)
            column = 0
            while column < columns:
                c = _side(columns - column) if step in _STEPS else 1
                row = 0
                while row < rows:
                    r = _side(min(rows - row, REGISTERS // c))
                    s = step if c > 1 else 1
                    g = min(4, REGISTERS // (r * c)) if s == 1 else 1
                    done = 0
                    while done < some:
                        if some - done < g:
                            g = 1
                        last = group + done + g == groups
                        code = _code(g, r, c, s)
                        choose(code, task, part, group + done, row, column, last)
                        done += g
                    row += r
                column += c
            group += some

    return cover_pixels


@kernel
def _side(left: int) -> int:
    """The side of the next block where so many pixels are left."""
    if left >= 4:
        return 4
    return 2 if left >= 2 else 1


def _number(groups: int, rows: int, columns: int, step: int) -> int:
    """A number for a block's shape, another for every other one."""
    return ((groups * 8 + rows) * 8 + columns) * 8 + step


def _shapes() -> list[tuple[int, int, int, int]]:
    """Groups, rows, columns and step of every block that ``cover`` uses."""
    flat = [(r, c) for r in _SIDES for c in _SIDES if r * c <= REGISTERS]
    spread = [(g, r, c, 1) for r, c in flat for g in sorted({1, min(4, REGISTERS // (r * c))})]
    return spread + [(1, r, c, 2) for r, c in flat if c > 1]


_SHAPES = _shapes()
_code = kernel(_number)


def _dispatcher(work: Any) -> Any:
    """An intrinsic that calls ``work`` with a block of the shape that its first argument names.

    A chain of kernels, one for each shape, would do; but numba compiles what a kernel calls again
    with it, the last link of a chain as often as the chain is long.
    """

    @operation
    def choose(
        typing: Any, code: Any, task: Any, part: Any, group: Any, row: Any, column: Any, last: Any
    ) -> Any:
        kind: Any = numba.typeof(work)  # type: ignore[no-untyped-call]
        given = (task, *[types.intp] * 4, types.boolean)
        blocks = [Block(*shape) for shape in _SHAPES]
        calls = [kind.get_call_type(typing, (block, *given), {}) for block in blocks]

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            end = builder.append_basic_block("end")
            switch = builder.switch(args[0], end)
            for block, shape, call in zip(blocks, _SHAPES, calls, strict=True):
                case = builder.append_basic_block(block.name)
                switch.add_case(_number(*shape), case)
                builder.position_at_end(case)
                function = context.get_function(kind, call)
                context.add_linking_libs(getattr(function, "libs", ()))
                function(builder, (zero_block(block), *args[1:]))
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return types.void(types.intp, *given), generate

    return choose
