"""From scores to a mask with exact counts."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from winnow import allocation
from winnow.allocation import Keep
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.patterns.axes import Axes, axes_from
from winnow.patterns.blocks import block_mask, block_sums, from_blocks
from winnow.patterns.cells import check_grain, keep_in_cells
from winnow.patterns.grains import Blocks, Grain, NofM, grain_of
from winnow.patterns.targets import cell_counts, check_cells_least
from winnow.selection import match, spread
from winnow.ties import TiedScores, tied
from winnow.topk import keep_largest


class LayerCollapse(UserWarning):
    """A layer has lost all of its weights: what is behind it sees nothing of what is before it."""


def prune(
    scores: Mapping[str, Any],
    *,
    density: float | Mapping[str, float] | None = None,
    scope: str | None = None,
    mask: Mapping[str, Tensor] | None = None,
    rates: float | Mapping[str, float] | None = None,
    ignore: str | Iterable[str] | None = None,
    least: int = 0,
    pattern: str | NofM | None = None,
    block: Sequence[int] | None = None,
    inputs: Mapping[str, int] | None = None,
) -> Mask:
    """Keep the largest scores, in exact number; equal scores: the lower index wins.

    ``scores``: any mapping name -> tensor or array. Give one of

    - ``density`` in [0, 1]: the kept fraction of all N weights in the scores that are not
      ignored, whatever ``mask`` has left: exactly round(density · N) stay. ``scope``: "global",
      "layer", "uniform", "er" or "erk" (see ``allocation.keep_for_density``), or "row": of the
      inputs of each output unit round(density · inputs). Or names and patterns -> densities;
      tensors that none matches keep what ``mask`` has left.
    - ``rates`` in [0, 1): the fraction of the surviving weights that goes, round(rate · alive),
      over all of them (scope "global"), in each tensor ("layer") or in each unit ("row"). Or names
      and patterns -> rates, each in its tensor; tensors that none matches lose nothing.
    - ``pattern`` "2:4" (any N:M): of each 4 inputs of a unit that follow each other 2 stay.
      UserError for a tensor whose units have no multiple of 4 inputs.

    ``scope`` defaults to that of the criterion which made the scores, else "global".
    ``block`` (r, c), beside a density or rates: blocks of r units × c inputs stay or go together,
    by the sum of their scores; counts are of blocks, round(density · blocks) stay. UserError for
    tensors that such blocks do not fill, and masks that split one.
    ``inputs``: name or pattern -> the axis of the inputs, for ``scope="row"``, ``pattern`` and
    ``block``: 1 (outputs, inputs, …), the default, or 0 (inputs, outputs, …); scores of
    ``wn.score`` know it. Axes behind count as further inputs, see ``patterns.axes``.

    ``mask``: what it removed never returns; its names and shapes must be those of the scores.
    ``ignore``: names, globs or ``re:`` patterns that are left out of the mask, or carried over
    unchanged where ``mask`` has them.
    ``least``: every tensor keeps so many of its weights at least (all that it has left, if those
    are fewer), so that no layer collapses; the total count is exact all the same.

    Warns of LayerCollapse where a tensor loses its last weights, and of TiedScores where equal
    scores stand on the edge (at least 1 % of them), so that their index decides. Raises UserError
    (a ValueError) for NaN or infinite scores of surviving weights, for targets out of range or
    above what ``mask`` has left, and for names or shapes that do not match.
    """
    found = pruned(
        scores, density=density, scope=scope, mask=mask, rates=rates, ignore=ignore, least=least,
        pattern=pattern, block=block, inputs=inputs,
    )  # fmt: skip
    if lost := newly_collapsed(mask, found):
        warnings.warn(collapse_told(lost), LayerCollapse, stacklevel=2)
    chosen = density if rates is None else rates
    if told := ties_told(scores, mask, found, chosen, scope, grained=bool(pattern or block)):
        warnings.warn(told, TiedScores, stacklevel=2)
    return found


def pruned(
    scores: Mapping[str, Any],
    *,
    density: float | Mapping[str, float] | None = None,
    scope: str | None = None,
    mask: Mapping[str, Tensor] | None = None,
    rates: float | Mapping[str, float] | None = None,
    ignore: str | Iterable[str] | None = None,
    least: int = 0,
    pattern: str | NofM | None = None,
    block: Sequence[int] | None = None,
    inputs: Mapping[str, int] | None = None,
) -> Mask:
    """As ``prune``, for callers that tell of collapse themselves."""
    tensors = {name: _as_tensor(name, scores[name]) for name in scores}
    before = None if mask is None else _as_mask(mask)
    ignored = set(_ignored(tensors, before, ignore))
    chosen = {name: tensor for name, tensor in tensors.items() if name not in ignored}
    if not chosen:
        raise UserError("nothing to prune: there are no scores, or all are ignored")
    alive = _alive(chosen, before, ignored)
    where = str(scope or getattr(scores, "scope", "global"))
    allocation.check_scope(where)
    grain = grain_of(where, pattern, block)
    axes = _axes(scores, chosen, inputs)
    goal = Goal(_spread(chosen, density), _spread(chosen, rates), where)
    made = prune_within(chosen, goal, grain, alive, axes, least)
    carried = {name: before[name] for name in ignored if before and name in before}
    order = [*tensors, *(name for name in before or () if name not in tensors)]
    everything = {**made, **carried}
    return Mask({name: everything[name] for name in order if name in everything})


@dataclass(frozen=True)
class Goal:
    """How much stays: a density or rates, a number or exact names -> numbers, and the scope."""

    density: float | Mapping[str, float] | None
    rates: float | Mapping[str, float] | None
    scope: str


def prune_within(
    scores: Mapping[str, Tensor],
    goal: Goal,
    grain: Grain | None,
    mask: Mask | None,
    axes: Axes,
    least: int = 0,
) -> Mask:
    """The mask of the goal where weights compete, or go together, as the grain says."""
    shapes = {name: tuple(tensor.shape) for name, tensor in scores.items()}
    if grain is None:
        counts = mask.kept_per_layer if mask else {n: t.numel() for n, t in scores.items()}
        return prune_to(scores, keep_of_goal(shapes, counts, goal), mask, least)
    _check_least(least)
    before = mask or Mask.dense(scores)
    if isinstance(grain, Blocks):
        sums = block_sums(grain, scores, mask, axes)
        blocks = Mask(block_mask(grain, before, axes))
        keep = keep_of_goal(shapes, blocks.kept_per_layer, goal, grain.size)
        kept = prune_to(sums, keep, blocks, -(-least // grain.size))
        return Mask(from_blocks(grain, kept, shapes, axes))
    check_grain(grain, shapes, axes)
    counts_of = cell_counts(grain, shapes, mask, goal.density, goal.rates, axes)
    found = Mask(keep_in_cells(grain, scores, counts_of, mask, axes))
    check_cells_least(before.kept_per_layer, found.kept_per_layer, least)
    return found


def prune_to(
    scores: Mapping[str, Tensor],
    keep: int | Mapping[str, int],
    mask: Mask | None = None,
    least: int = 0,
) -> Mask:
    """Keep exactly these counts among what ``mask`` (same names and shapes) has left.

    ``keep``: an int for one competition over all scores, or name -> int for one in each tensor;
    tensors without a count keep what is left. ``least``: in a competition over all scores, each
    tensor's first so many stay whatever they score elsewhere. Raises UserError as ``prune`` does.
    """
    _check_least(least)
    if mask is not None:
        _alive(scores, mask, set())
    if isinstance(keep, int):
        return (
            _protected(scores, keep, mask, least)
            if least
            else Mask(keep_largest(scores, keep, mask))
        )
    if strangers := [name for name in keep if name not in scores]:
        raise UserError(f"counts for {strangers} but scores for {list(scores)}")
    kept: dict[str, Tensor] = {}
    for name, tensor in scores.items():
        left = None if mask is None else {name: mask[name]}
        available = tensor.numel() if left is None else int(left[name].count_nonzero())
        count = keep.get(name, available)
        if count < min(least, available):
            raise UserError(
                f"{name!r} is to keep {count} weights, below least={least}: raise its density, or "
                "take scope='global', where tensors lend each other weights"
            )
        kept |= keep_largest({name: tensor}, count, left)
    return Mask(kept)


def ties_told(
    scores: Mapping[str, Any],
    before: Mapping[str, Tensor] | None,
    after: Mask,
    chosen: float | Mapping[str, float] | None,
    scope: str | None = None,
    *,
    grained: bool = False,
) -> str | None:
    """The words of a warning of TiedScores for a mask made so; None where few scores tie.

    ``chosen``: the density or rate; ``grained``: patterns or blocks, in which single weights do not
    compete over a tensor, so that nothing is told.
    """
    where = scope or getattr(scores, "scope", "global")
    if grained or where == "row":
        return None
    tensors = {name: _as_tensor(name, scores[name]) for name in scores if name in after}
    return tied(tensors, before, after, where == "global" and not isinstance(chosen, Mapping))


def collapsed(mask: Mask) -> list[str]:
    """The tensors that have lost all of their weights: layer collapse."""
    return [name for name, kept in mask.kept_per_layer.items() if kept == 0 and mask[name].numel()]


def newly_collapsed(before: Mapping[str, Tensor] | None, after: Mask) -> list[str]:
    """The tensors that have no weight left, and had some before (None: all of them)."""
    had = before or {}
    return [name for name in collapsed(after) if name not in had or bool(had[name].any())]


def collapse_told(names: Sequence[str], where: str = "", more: str = "") -> str:
    """The words of a warning of LayerCollapse, with what prevents it."""
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    listed = ", ".join(names[:5]) + rest
    return f"layer collapse{where}: no weight is left in {listed}. least=1 protects them{more}."


def _protected(scores: Mapping[str, Tensor], keep: int, mask: Mask | None, least: int) -> Mask:
    """Each tensor's ``least`` best, then the best of all others."""
    everything = Mask.dense(scores) if mask is None else mask
    reserved = {n: min(least, count) for n, count in everything.kept_per_layer.items()}
    if keep < (needed := sum(reserved.values())):
        size = sum(tensor.numel() for tensor in scores.values())
        raise UserError(
            f"cannot keep {keep} of {size} weights with least={least} in each of {len(reserved)} "
            f"tensors: that takes {needed}, a density of {needed / size:.6g}"
        )
    first = prune_to(scores, reserved, everything)
    others = everything & first.inverted()
    return first | Mask(keep_largest(scores, keep - needed, others))


def keep_of_goal(
    shapes: Mapping[str, Sequence[int]], alive: Mapping[str, int], goal: Goal, together: int = 1
) -> Keep:
    density, rates = goal.density, goal.rates
    if (density is None) == (rates is None):
        given = "neither" if density is None else "both"
        raise UserError(f"give density= or rates=, one of them; got {given}")
    if density is not None:
        return allocation.keep_for_density(shapes, alive, density, goal.scope, together)
    assert rates is not None
    return allocation.keep_for_rates(alive, rates, goal.scope)


def _spread(
    scores: Mapping[str, Tensor], value: float | Mapping[str, float] | None
) -> float | Mapping[str, float] | None:
    return spread(scores, value) if isinstance(value, Mapping) else value


def _axes(
    scores: Mapping[str, Any], chosen: Mapping[str, Tensor], inputs: Mapping[str, int] | None
) -> Axes:
    """What ``inputs`` says, else what the scores know."""
    known: Axes = getattr(scores, "axes", {})
    if inputs is None:
        return known
    return {**known, **axes_from(spread(chosen, inputs))}


def _check_least(least: int) -> None:
    if isinstance(least, bool) or not isinstance(least, int) or least < 0:
        raise UserError(f"least is {least!r}: give the number of weights that every tensor keeps")


def _ignored(
    scores: Mapping[str, Tensor], mask: Mask | None, ignore: str | Iterable[str] | None
) -> list[str]:
    if ignore is None:
        return []
    return match(dict.fromkeys([*scores, *(mask or ())]), ignore)


def _alive(scores: Mapping[str, Tensor], mask: Mask | None, ignored: set[str]) -> Mask | None:
    """The part of the mask that is pruned further; UserError unless it is that of the scores."""
    if mask is None:
        return None
    faults = [f"{name!r} has no mask" for name in scores if name not in mask]
    faults += [f"{name!r} has no scores" for name in mask if name not in {*scores, *ignored}]
    faults += [
        f"{name!r}: scores {list(scores[name].shape)}, mask {list(mask[name].shape)}"
        for name in scores
        if name in mask and scores[name].shape != mask[name].shape
    ]
    if faults:
        raise UserError(f"scores and mask do not match: {'; '.join(faults[:3])}")
    return Mask({name: mask[name] for name in scores})


def _as_mask(mask: Mapping[str, Tensor]) -> Mask:
    return mask if isinstance(mask, Mask) else Mask(mask)


def _as_tensor(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    try:
        return torch.from_numpy(np.array(value, copy=True))
    except TypeError as error:
        raise UserError(f"scores of {name!r} are no tensor of numbers: {error}") from error
