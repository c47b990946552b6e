"""From rows to evidence: for each part of a claim the rounds, their sides and their values."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from winnow.experiment.arms import DENSE
from winnow.experiment.recipe.claims import ClaimPart, Operand
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
    assert part.of is not None
    assert part.compare is not None
    step = part.at.step if part.at else None
    column = column_samples(results, part.of, step)
    missing = _missing(results, part)
    sides = [side_samples(column, operand, part.line) for operand in part.compare]
    for operand, found in zip(part.compare, sides, strict=True):
        if not missing and not found:
            missing = f"no run of {_named(operand, part.line)} is finished"
    if missing:
        return (Gap(missing),)
    if part.at is None or (part.at.is_one_round and part.at.density is None):
        return (_without_density(results, part, sides),)
    return _at_densities(results, part, sides)


def side_samples(column: Iterable[Sample], operand: Operand, line: str | None) -> Samples:
    """The samples of a side; those of ``dense`` are round 0, whatever their arm."""
    wanted = operand.line or line or ""
    of_line = [one for one in column if one.line == wanted]
    if operand.arm == DENSE:
        return [one for one in of_line if one.round == 0]
    return [one for one in of_line if one.arm == operand.arm and one.round > 0]


def side_at(samples: Iterable[Sample]) -> SideRuns:
    """One side at one round from its runs."""
    runs = list(samples)
    draws: defaultdict[int, list[float]] = defaultdict(list)
    for one in runs:
        if one.value is not None:
            draws[one.replicate].append(one.value)
    values = {number: math.fsum(all_) / len(all_) for number, all_ in draws.items()}
    bad = sum(one.status != "done" for one in runs) / len(runs) if runs else 0.0
    return SideRuns(values, bad, any(one.censored for one in runs if one.value is not None))


def _missing(results: Results, part: ClaimPart) -> str:
    """Why a part cannot be about these results: an arm or a line that they do not have."""
    arms = [DENSE, *(arm.name for arm in results.arms)]
    lines = known_lines(results)
    for operand in part.compare or ():
        if operand.arm not in arms:
            return f"there is no arm {operand.arm!r} here: there are {', '.join(arms)}"
        line = operand.line or part.line or ""
        if line and line not in lines:
            return f"there is no line {line!r} here: there are {', '.join(filter(None, lines))}"
        if not line and lines and "" not in lines:
            return f"it names no line: there are {', '.join(lines)}"
    return ""


def leading_line(part: ClaimPart) -> str:
    """The line whose rounds and steps a part goes by: that of its first side that is not dense."""
    sides = part.compare or ()
    first = next((side for side in sides if not _is_dense(side)), sides[0] if sides else None)
    return (first.line if first else None) or part.line or ""


def known_lines(results: Results) -> list[str]:
    """The lines of a recipe, those without rows included; empty where it has none."""
    written = results.recipe.get("lines")
    names = list(written) if isinstance(written, Mapping) else []
    found = dict.fromkeys([*names, *(row.line for row in results.rows)])
    return list(found) if any(found) else []


def _without_density(results: Results, part: ClaimPart, sides: Sequence[Samples]) -> Evidence | Gap:
    """Of dense networks, or of an analysis that was made at one round only."""
    for operand, found in zip(part.compare or (), sides, strict=True):
        if len({one.round for one in found}) > 1:
            return Gap(f"{operand.arm} has several rounds: say at which density")
    assert part.of is not None
    step = resolution(results, part.of, leading_line(part))
    return compared(part, [side_at(s) for s in sides], None, step)


def _at_densities(
    results: Results, part: ClaimPart, sides: Sequence[Samples]
) -> tuple[Evidence | Gap, ...]:
    assert part.at is not None
    assert part.of is not None
    width = one_round(results, leading_line(part))
    grids = [grid(samples, part.at.of) for samples in sides]
    sparse = [place for place, operand in enumerate(part.compare or ()) if not _is_dense(operand)]
    leading = grids[sparse[0]]
    if part.kind == "crossing":
        return (_crossing(part, sides, grids, leading, width),)
    chosen = chosen_rounds(leading, part.at, width)
    if isinstance(chosen, str):
        return (Gap(chosen, _stated(part)),)
    step = resolution(results, part.of, leading_line(part))
    found: list[Evidence | Gap] = []
    for number in chosen:
        density = leading[number]
        there = _sides_at(part, sides, grids, density, width)
        found.append(there if isinstance(there, Gap) else compared(part, there, density, step))
    return tuple(found)


def _sides_at(
    part: ClaimPart, sides: Sequence[Samples], grids: Sequence[Grid], density: float, width: float
) -> list[SideRuns] | Gap:
    """Every side at its round nearest to a density."""
    found = []
    for operand, samples, rounds in zip(part.compare or (), sides, grids, strict=True):
        place = 0 if _is_dense(operand) else nearest_round(rounds, density, width)
        if place is None:
            named = _named(operand, part.line)
            return Gap(f"{named} has no finished round near {100 * density:.3g} %", density)
        found.append(side_at(one for one in samples if one.round == place))
    return found


def _crossing(
    part: ClaimPart, sides: Sequence[Samples], grids: Sequence[Grid], leading: Grid, width: float
) -> Evidence | Gap:
    stated = _stated(part)
    assert stated is not None
    rounds = sorted(leading.values(), reverse=True)
    there = [(d, _sides_at(part, sides, grids, d, width)) for d in rounds]
    whole = [(density, pair) for density, pair in there if not isinstance(pair, Gap)]
    if not whole:
        return Gap("no finished round has both sides", stated)
    changes = [
        {number: a.values[number] - b.values[number] for number in a.values.keys() & b.values}
        for _, (a, b) in whole
    ]
    if not any(changes):
        return Gap("no replicate has both sides finished", stated)
    every = [side_at(samples) for samples in sides]
    return crossing([density for density, _ in whole], changes, every, stated)


def _stated(part: ClaimPart) -> float | None:
    return part.at.density / 100 if part.at and part.at.density is not None else None


def _is_dense(operand: Operand) -> bool:
    return operand.arm == DENSE


def _named(operand: Operand, line: str | None) -> str:
    own = operand.line or line
    return f"{operand.arm} ({own})" if own else operand.arm
