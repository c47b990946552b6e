"""The answer on a recipe with lines: the same number of each of them, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from winnow.report import wording
from winnow.report.answer.doubt import OBSERVED, replicates_of
from winnow.report.answer.keeping import against_the_dense, kept
from winnow.report.answer.of_methods import Leader, lead_over, leader
from winnow.report.answer.of_rounds import subject_of
from winnow.report.answer.phrases import (
    correct,
    line_names,
    listed,
    method_called,
    of_weights,
    points_of,
)
from winnow.report.contrasts import Contrast, accuracy_metric, judgement
from winnow.report.results import Results, by_line, compares
from winnow.report.statistics import dense, same_density

_NAMED = 3  # lines that are named with one number; of more, how many
_GROUPS = 4  # numbers that are listed; of more, the best two and the last


@dataclass(frozen=True)
class _Kept:
    """How far a line keeps: the place of the density in its pair, None for nowhere."""

    line: str
    subject: str
    pair: Contrast
    place: int | None

    @property
    def density(self) -> float | None:
        return None if self.place is None else self.pair.accuracy[self.place].density_total

    @property
    def is_whole(self) -> bool:
        return self.place == len(self.pair.accuracy) - 1


def line_answer(results: Results) -> tuple[str, tuple[str, ...]] | None:
    """The sentence without its stop, and its doubts; None while nothing is finished."""
    parts, name = by_line(results), line_names(results)
    if parts and all(map(compares, parts)):
        return _of_methods(parts, name)
    found = [
        _Kept(name(part.line), subject_of(part, pair), pair, kept(pair))
        for part in parts
        if (pair := against_the_dense(part)) is not None
    ]
    if not found:
        return _dense_alone(parts, name)
    subjects = {one.subject for one in found}
    who = subjects.pop() if len(subjects) == 1 else "Pruned networks"
    return f"{who} {_keeping(found)}", (_chance(found),)


# ---- rounds


def _keeping(found: Sequence[_Kept]) -> str:
    groups = _by_density(found)
    if len(groups) == 1 and all(one.is_whole for one in found):
        return _everywhere(found)
    nowhere = [one.line for one in found if one.place is None]
    rest = f"; at no density: {_few(nowhere)}" if nowhere else ""
    if not groups:
        return f"lose accuracy from the start in {_all_lines(len(found))}"
    named = [f"{of_weights(density)} ({_few(lines)})" for density, lines in groups]
    if len(named) > _GROUPS:
        between = sum(len(lines) for _, lines in groups[2:-1])
        named = [*named[:2], f"{wording.plural(between, 'line')} in between", named[-1]]
    named[0] = named[0].replace(" % (", " % of the weights (", 1)
    return f"keep their dense accuracy down to {listed(named)}{rest}"


def _by_density(found: Sequence[_Kept]) -> list[tuple[float, list[str]]]:
    """The densities that are kept, the sparsest first, with the lines that keep them."""
    groups: list[tuple[float, list[str]]] = []
    places = [(one.density, one.line) for one in found if one.density is not None]
    for density, line in sorted(places, key=lambda place: place[0]):
        if not groups or not same_density(groups[-1][0], density):
            groups.append((density, []))
        groups[-1][1].append(line)
    return groups


def _everywhere(found: Sequence[_Kept]) -> str:
    """All lines keep to the end of one sweep: how far each is from dense there."""
    ends = {one.line: one.pair.accuracy[-1] for one in found}
    ordered = sorted(ends, key=lambda line: -ends[line].mean)
    best, worst = ordered[0], ordered[-1]
    return (
        f"keep their dense accuracy at every density, down to "
        f"{of_weights(ends[best].density_total)} of the weights, in {_all_lines(len(found))}: "
        f"from {_beside(ends[best].mean)} ({best}) to {_beside(ends[worst].mean)} ({worst})"
    )


def _beside(difference: float) -> str:
    return f"{points_of(difference)} {'above' if difference >= 0 else 'below'}"


def _all_lines(count: int) -> str:
    return "both lines" if count == 2 else f"all {count} lines"


def _few(names: Sequence[str]) -> str:
    return listed(names) if len(names) <= _NAMED else f"{len(names)} lines"


def _chance(found: Sequence[_Kept]) -> str:
    count = replicates_of(one.pair for one in found)
    if count < 2:
        return OBSERVED
    sides = (("better", "above"), ("worse", "below"))
    clear = [
        f"{side} dense in {wording.plural(lines, 'line')}"
        for word, side in sides
        if (lines := sum(any(judgement(c) == word for c in one.pair.accuracy) for one in found))
    ]
    told = f"clearly {' and '.join(clear)}" if clear else "no difference from dense is clear"
    return f"{count} replicates; {told}"


def _dense_alone(
    parts: Sequence[Results], name: Callable[[str], str]
) -> tuple[str, tuple[str, ...]] | None:
    means = {name(part.line): dense(part.rows, accuracy_metric(part)) for part in parts}
    known = {line: summary for line, summary in means.items() if summary is not None}
    if not known:
        return None
    shown = listed([f"{correct(summary.mean)} ({line})" for line, summary in known.items()])
    n = wording.plural(max(summary.n for summary in known.values()), "replicate")
    return f"The dense networks have test accuracies of {shown}", (n,)


# ---- methods


def _of_methods(
    parts: Sequence[Results], name: Callable[[str], str]
) -> tuple[str, tuple[str, ...]] | None:
    found = [(part, lead) for part in parts if (lead := leader(part)) is not None]
    if not found:
        return None
    same = len({of_weights(lead.density) for _, lead in found}) == 1
    where = of_weights(found[0][1].density) + " of the weights" if same else "the smallest density"
    leads: dict[str, list[str]] = {}
    for part, lead in found:
        at = "" if same else f" at {of_weights(lead.density)}"
        mean = f"{name(part.line)} ({correct(lead.means[lead.name])}{at})"
        leads.setdefault(lead.name, []).append(mean)
    ordered = sorted(leads.items(), key=lambda pair: -len(pair[1]))
    said = [f"{method_called(best)} in {listed(lines)}" for best, lines in ordered]
    return f"The most accurate at {where}: {'; '.join(said)}", (_ahead(found),)


def _ahead(found: Sequence[tuple[Results, Leader]]) -> str:
    """In how many lines the best is clearly better than the next one."""
    changes = [change for part, lead in found if (change := lead_over(part, lead)) is not None]
    count = max((change.n for change in changes), default=0)
    if count < 2:
        return OBSERVED
    ahead = sum(judgement(change) == "better" for change in changes)
    where = f"in {ahead} of {len(found)} lines" if ahead else "in no line"
    return f"{count} replicates; clearly ahead of the next {where}"
