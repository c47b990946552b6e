"""From rows to evidence: for each part of a claim the rounds, their sides and their values."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from winnow.experiment.arms import DENSE
from winnow.experiment.recipe.claims import ClaimPart
from winnow.experiment.recipe.sides import Operand, Where
from winnow.report.claims.evidence import Evidence, Gap, SideRuns, compared, crossing
from winnow.report.claims.places import Grid, chosen_rounds, grid, nearest_round, one_round
from winnow.report.claims.resolution import resolution
from winnow.report.results import Results
from winnow.report.samples import Sample, column_samples

Samples = Sequence[Sample]


def gather(results: Results, part: ClaimPart) -> tuple[Evidence | Gap, ...]:
    """The evidence of a part, one for each of its rounds, dense to sparse; never empty.

    Raises UserError for a column that rows do not have.
    """
    operands = part.sides()
    columns = {
        (side.of, step): column_samples(results, side.of or "", step)
        for side, step in ((side, _step(side)) for side in operands)
    }
    if absent := _missing(results, operands):
        return (Gap(absent, absent=True),)
    sides = [side_samples(columns[side.of, _step(side)], side) for side in operands]
    for operand, found in zip(operands, sides, strict=True):
        if not found:
            return (Gap(f"no run of {operand} is finished"),)
    if not any(operand.has_density for operand in operands):
        return (_without_density(results, part, sides),)
    return _at_densities(results, part, sides)


def _step(side: Operand) -> int | None:
    return side.at.step if side.at else None


def side_samples(column: Iterable[Sample], operand: Operand) -> Samples:
    """The samples of a side; those of ``dense`` are round 0, whatever their arm."""
    of_line = [one for one in column if one.line == (operand.line or "")]
    if operand.is_dense:
        return [one for one in of_line if one.round == 0]
    return [one for one in of_line if one.arm == operand.arm and one.round > 0]


def side_at(samples: Iterable[Sample]) -> SideRuns:
    """One side at one round from its runs."""
    runs = list(samples)
    draws: defaultdict[int, list[float]] = defaultdict(list)
    for one in runs:
        number = one.at_least if one.value is None else one.value
        if number is not None:
            draws[one.replicate].append(number)
    values = {number: math.fsum(all_) / len(all_) for number, all_ in draws.items()}
    bad = sum(one.status != "done" for one in runs) / len(runs) if runs else 0.0
    numbered = [one for one in runs if one.value is not None or one.at_least is not None]
    return SideRuns(values, bad, any(one.censored for one in numbered))


def _missing(results: Results, operands: Iterable[Operand]) -> str:
    """Why a part cannot be about these results: an arm or a line that they do not have."""
    arms = [DENSE, *(arm.name for arm in results.arms)]
    lines = known_lines(results)
    for operand in operands:
        if operand.arm not in arms:
            return f"there is no arm {operand.arm!r} here: there are {', '.join(arms)}"
        line = operand.line or ""
        if line and line not in lines:
            return f"there is no line {line!r} here: there are {', '.join(filter(None, lines))}"
        if not line and lines and "" not in lines:
            return f"it names no line: there are {', '.join(lines)}"
    return ""


def leading_line(part: ClaimPart) -> str:
    """The line whose rounds and steps a part goes by."""
    sides = part.sides()
    return sides[_leading(part)].line or "" if sides else ""


def _leading(part: ClaimPart) -> int:
    """The side whose rounds a part goes by: the first that has none of its own and is not dense,
    else the first that is not dense, else the first.
    """
    written, whole = part.compare or (), part.sides()
    sparse = [place for place, side in enumerate(whole) if not side.is_dense]
    shared = [place for place in sparse if written[place].at is None]
    return [*shared, *sparse, 0][0]


def known_lines(results: Results) -> list[str]:
    """The lines of a recipe, those without rows included; empty where it has none."""
    written = results.recipe.get("lines")
    names = list(written) if isinstance(written, Mapping) else []
    found = dict.fromkeys([*names, *(row.line for row in results.rows)])
    return list(found) if any(found) else []


def _without_density(results: Results, part: ClaimPart, sides: Sequence[Samples]) -> Evidence | Gap:
    """Of dense networks, or of an analysis that was made at one round only."""
    for operand, found in zip(part.sides(), sides, strict=True):
        if len({one.round for one in found}) > 1:
            return Gap(f"{operand.arm} has several rounds: say at which density")
    return compared(part, [side_at(s) for s in sides], None, _steps(results, part))


def _steps(results: Results, part: ClaimPart) -> list[float | None]:
    """The smallest step of the column of each side."""
    line = leading_line(part)
    return [resolution(results, side.of or "", line) for side in part.sides()]


def _at_densities(
    results: Results, part: ClaimPart, sides: Sequence[Samples]
) -> tuple[Evidence | Gap, ...]:
    operands, lead = part.sides(), _leading(part)
    where = operands[lead].at
    assert where is not None
    widths = [one_round(results, side.line or "") for side in operands]
    pairs = zip(operands, sides, strict=True)
    grids = [grid(samples, (side.at or where).of) for side, samples in pairs]
    own = [None if one.at is None else _stated(one.at) for one in part.compare or ()]
    each = zip(operands, sides, grids, own, widths, strict=True)
    looked = [_Looked(*one) for one in each]
    leading, width = grids[lead], widths[lead]
    if part.kind == "crossing":
        return (_crossing(part, looked, leading, width),)
    chosen = chosen_rounds(leading, where, width)
    if isinstance(chosen, str):
        return (Gap(chosen, _stated(where)),)
    steps = _steps(results, part)
    found: list[Evidence | Gap] = []
    for number in chosen:
        density = leading[number]
        there = _sides_at(looked, density, width)
        found.append(there if isinstance(there, Gap) else compared(part, there, density, steps))
    return tuple(found)


@dataclass(frozen=True)
class _Looked:
    """A side with its samples, the densities of its rounds, and ``own``: the density that it is
    looked at, a fraction, where that is not the claim's; ``width``: a round of its line.
    """

    operand: Operand
    samples: Samples
    rounds: Grid
    own: float | None
    width: float


def _sides_at(looked: Sequence[_Looked], density: float, width: float) -> list[SideRuns] | Gap:
    """Every side at its round nearest to a density."""
    found = []
    for one in looked:
        place = 0 if one.operand.is_dense else _nearest(one, density, width)
        if place is None:
            at = density if one.own is None else one.own
            return Gap(f"{one.operand} has no finished round near {100 * at:.3g} %", density)
        found.append(side_at(sample for sample in one.samples if sample.round == place))
    return found


def _nearest(looked: _Looked, density: float, width: float) -> int | None:
    if looked.own is None:
        return nearest_round(looked.rounds, density, width)
    return nearest_round(looked.rounds, looked.own, looked.width)


def _crossing(
    part: ClaimPart, looked: Sequence[_Looked], leading: Grid, width: float
) -> Evidence | Gap:
    stated = _stated(part.at)
    assert stated is not None
    rounds = sorted(leading.values(), reverse=True)
    there = [(d, _sides_at(looked, d, width)) for d in rounds]
    whole = [(density, pair) for density, pair in there if not isinstance(pair, Gap)]
    if not whole:
        return Gap("no finished round has both sides", stated)
    changes = [
        {number: a.values[number] - b.values[number] for number in a.values.keys() & b.values}
        for _, (a, b) in whole
    ]
    if not any(changes):
        return Gap("no replicate has both sides finished", stated)
    every = [side_at(one.samples) for one in looked]
    return crossing([density for density, _ in whole], changes, every, stated)


def _stated(where: Where | None) -> float | None:
    return where.density / 100 if where and where.density is not None else None
