"""From scores of weights to a mask of whole units, with exact counts."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from winnow.allocation import check_density
from winnow.errors import UserError, unknown
from winnow.mask import Mask
from winnow.shares import share_of
from winnow.structure.coupling import Structure, UnitAxes
from winnow.topk import keep_largest

UNIT_SCOPES = ("layer", "global")


def unit_scores(scores: Mapping[str, Tensor], structure: Structure) -> Tensor:
    """The score of every unit (U,): the sum of the scores of all weights that write it.

    Those of a neuron are its incoming weights, those of a channel its filter; of units that a sum
    couples, the rows of all layers that write them. Weights that read it are those of other units.
    UserError for a weight of the structure that has no scores.
    """
    total = torch.zeros(structure.count, dtype=torch.float64)
    for name, axes in structure.axes.items():
        if name not in scores:
            raise UserError(
                f"{name!r} writes units and has no scores: score it too, or leave its layer out of "
                "the structure"
            )
        rows = scores[name].detach().double().cpu().movedim(axes.outputs, 0).flatten(1).sum(1)
        total.index_add_(0, axes.writes, rows)
    return total


def prune_units(
    scores: Mapping[str, Tensor],
    structure: Structure,
    density: float,
    *,
    scope: str = "layer",
    mask: Mapping[str, Tensor] | None = None,
    least: int = 1,
) -> Mask:
    """Keep the units with the largest scores, in exact number; the mask is over their weights.

    ``density``: the kept fraction of the units that may go. ``scope``: "layer", each set of units
    that stand side by side keeps round(density · n) of its n, and at least ``least``; "global", one
    competition over all of them, in which each set keeps its ``least`` best. A unit that goes takes
    with it the weights that write it and those that read it, so that the network is the same with
    smaller layers. ``mask``: an earlier mask; a unit without a weight that writes it there stays
    out, and no weight returns. Equal scores: the earlier unit wins.

    Raises UserError for a density outside [0, 1], an unknown scope, more units than are left, and
    scores that are missing, NaN or infinite.
    """
    check_density(density)
    if scope not in UNIT_SCOPES:
        raise unknown("scope", scope, UNIT_SCOPES, f"Units compete in {', '.join(UNIT_SCOPES)}")
    if isinstance(least, bool) or not isinstance(least, int) or least < 0:
        raise UserError(f"least is {least!r}: give the number of units that every layer keeps")
    total, alive = unit_scores(scores, structure), _alive(structure, mask)
    choose = _by_set if scope == "layer" else _over_all
    keep = torch.ones(structure.count, dtype=torch.bool)
    for units in structure.sets.values():
        keep[units] = False
    keep[choose(structure, density, least, total, alive)] = True
    return mask_of_units(keep, structure, mask)


def keep_units(
    scores: Mapping[str, Tensor],
    structure: Structure,
    counts: Mapping[str, int],
    mask: Mapping[str, Tensor] | None = None,
) -> Mask:
    """As ``prune_units``, with the number of units that each set keeps, by the set's name."""
    return _of_best(unit_scores(scores, structure), structure, counts, mask)


def random_units(
    structure: Structure, counts: Mapping[str, int], generator: torch.Generator
) -> Mask:
    """A mask of units drawn at random, as many of each set as ``counts`` says by its name."""
    drawn = torch.rand(structure.count, generator=generator, dtype=torch.float64)
    return _of_best(drawn, structure, counts, None)


def _of_best(
    total: Tensor,
    structure: Structure,
    counts: Mapping[str, int],
    mask: Mapping[str, Tensor] | None,
) -> Mask:
    alive = _alive(structure, mask)
    keep = torch.ones(structure.count, dtype=torch.bool)
    for name, units in structure.by_name.items():
        keep[units] = False
        keep[_best(total, units, counts[name], alive)] = True
    return mask_of_units(keep, structure, mask)


def weights_kept(structure: Structure, counts: Mapping[str, int]) -> dict[str, int]:
    """How many weights each layer keeps where each set of units keeps so many, whichever they are.

    ``counts``: by the set's name. UserError where that depends on which ones stay: units of one set
    that stand at different numbers of places in one layer.
    """
    kept = {}
    for name, axes in structure.axes.items():
        along = [axes.writes] if axes.reads is None else [axes.writes, axes.reads]
        whole = math.prod(axes.shape)
        for labels in along:
            whole = whole // len(labels) * _places(name, labels, structure, counts)
        kept[name] = whole
    return kept


def _places(name: str, labels: Tensor, structure: Structure, counts: Mapping[str, int]) -> int:
    """How many places along an axis are left."""
    left = len(labels)
    for of, units in structure.by_name.items():
        each = [int((labels == unit).sum()) for unit in units]
        if len(set(each)) > 1:
            raise UserError(
                f"units of {of} stand {min(each)} to {max(each)} times in {name}, so that its "
                "number of weights depends on which ones stay: rounds of whole units need a number"
            )
        left -= each[0] * (len(units) - counts[of])
    return left


def mask_of_units(
    keep: Tensor, structure: Structure, mask: Mapping[str, Tensor] | None = None
) -> Mask:
    """The mask under which exactly these units (U,) are left: a weight stays if the unit that it
    writes and the one that it reads do.
    """
    made = {name: _kept(keep, axes) for name, axes in structure.axes.items()}
    return Mask(made if mask is None else {n: bits & mask[n].cpu() for n, bits in made.items()})


def _kept(keep: Tensor, axes: UnitAxes) -> Tensor:
    bits = _along(keep[axes.writes], axes.outputs, axes.shape)
    if axes.reads is not None:
        bits = bits & _along(keep[axes.reads], axes.inputs, axes.shape)
    return bits.expand(axes.shape).contiguous()


def _along(values: Tensor, axis: int, shape: tuple[int, ...]) -> Tensor:
    return values.view([-1 if k == axis else 1 for k in range(len(shape))])


def _alive(structure: Structure, mask: Mapping[str, Tensor] | None) -> Tensor:
    """The units (U,) that some weight of the mask still writes."""
    if mask is None:
        return torch.ones(structure.count, dtype=torch.bool)
    return unit_scores({name: bits.float() for name, bits in mask.items()}, structure) > 0


def _best(total: Tensor, units: Tensor, count: int, candidates: Tensor) -> Tensor:
    """The ``count`` best of some units among the candidates (U,), as numbers."""
    chosen = keep_largest({"units": total[units]}, count, {"units": candidates[units]})["units"]
    return units[chosen]


def _by_set(
    structure: Structure, density: float, least: int, total: Tensor, alive: Tensor
) -> Tensor:
    kept = []
    for names, units in structure.sets.items():
        count = max(share_of(density, len(units)), min(least, len(units)))
        if count > (left := int(alive[units].sum())):
            raise UserError(
                f"{', '.join(names)}: {count} of {len(units)} units are to stay, and the mask has "
                f"left {left}: give a density of at most {left / len(units):.6g}"
            )
        kept.append(_best(total, units, count, alive))
    return torch.cat(kept)


def _over_all(
    structure: Structure, density: float, least: int, total: Tensor, alive: Tensor
) -> Tensor:
    everything = torch.cat(list(structure.sets.values()))
    count, left = share_of(density, len(everything)), int(alive[everything].sum())
    reserved = [
        _best(total, units, min(least, int(alive[units].sum())), alive)
        for units in structure.sets.values()
    ]
    first = torch.cat(reserved)
    if not len(first) <= count <= left:
        raise UserError(
            f"{count} of {len(everything)} units are to stay: it must be at least {len(first)}, "
            f"least={least} for each of {len(reserved)} sets, and at most the {left} that are left"
        )
    others = alive.clone()
    others[first] = False
    return torch.cat([first, _best(total, everything, count - len(first), others)])
