"""How many weights of each cell stay, from a density, from rates, or by a pattern."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from winnow.allocation import check_density, check_rate
from winnow.errors import UserError
from winnow.patterns.axes import Axes, inputs_of
from winnow.patterns.cells import counts_in_cells
from winnow.patterns.grains import Cells, NofM
from winnow.shares import share_of

Amounts = float | Mapping[str, float]
_UNSAID = object()


def cell_counts(
    grain: Cells,
    shapes: Mapping[str, Sequence[int]],
    mask: Mapping[str, Tensor] | None,
    density: Amounts | None,
    rates: Amounts | None,
    axes: Axes,
) -> dict[str, int | Tensor]:
    """Counts as `cells.keep_in_cells` takes them; names of mappings are exact.

    N:M: N in each group. Rows: round(density · inputs) of every unit, whatever ``mask`` has left
    of it; or with ``rates`` round(rate · alive) go of what a unit has left. Python's ``round``:
    halves go to the even neighbour. Tensors that a mapping does not name keep what they have.
    UserError for densities and rates out of range, and beside a pattern.
    """
    if isinstance(grain, NofM):
        _check_alone(grain, density, rates)
        return dict.fromkeys(shapes, grain.n)
    if (density is None) == (rates is None):
        given = "neither" if density is None else "both"
        raise UserError(f"give density= or rates=, one of them; got {given}")
    left = None if mask is None else counts_in_cells(grain, mask, axes)
    counts: dict[str, int | Tensor] = {}
    for name, shape in shapes.items():
        inputs = inputs_of(name, shape, axes)
        has: int | Tensor = inputs if left is None else left[name]
        wanted, rate = _of(density, name), _of(rates, name)
        if wanted is not _UNSAID:
            check_density(wanted, name)
            counts[name] = share_of(wanted, inputs)
        elif rate is not _UNSAID:
            check_rate(rate, name)
            counts[name] = _after(has, rate)
        else:
            counts[name] = has
    return counts


def _of(values: Amounts | None, name: str) -> Any:
    if isinstance(values, Mapping):
        return values.get(name, _UNSAID)
    return _UNSAID if values is None else values


def _after(has: int | Tensor, rate: float) -> int | Tensor:
    if isinstance(has, int):
        return has - share_of(rate, has)
    gone = {count: share_of(rate, count) for count in set(has.flatten().tolist())}
    each = has.new_tensor([gone[count] for count in has.flatten().tolist()])
    return has - each.reshape(has.shape)


def _check_alone(grain: NofM, density: Amounts | None, rates: Amounts | None) -> None:
    if rates is not None:
        raise UserError(f"pattern {grain} says how many stay: leave rates out")
    if density is None:
        return
    if isinstance(density, Mapping) or not math.isclose(check_density(density), grain.density):
        raise UserError(
            f"pattern {grain} keeps {grain.density:.6g} of the weights, and density is "
            f"{density!r}: leave density out"
        )


def check_cells_least(before: Mapping[str, int], kept: Mapping[str, int], least: int) -> None:
    """UserError where a tensor is to keep fewer than ``least`` weights, though it has more left."""
    for name, own in kept.items():
        if own < min(least, before[name]):
            raise UserError(
                f"{name!r} is to keep {own} weights, below least={least}: raise its density"
            )
