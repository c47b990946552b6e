"""The winning ticket verdict, in words: the paper's rule, and the paired 95 % interval.

They are two statements on purpose. The rule compares means and says nothing about chance; the
interval does, but with few replicates it rarely decides anything.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from winnow.report import wording
from winnow.report.caveats import caveats
from winnow.report.comparison import comparison
from winnow.report.contrasts import (
    DENSE,
    Contrast,
    accurate,
    contrasts,
    early,
    iteration_at,
    meets_rule,
    outcome,
)
from winnow.report.results import Results, compares, has_early_stopping
from winnow.report.statement import Statement
from winnow.report.statistics import Difference

_NAMED_ONE_BY_ONE = 4  # densities; more are given as a range, and one by one in the page's table


def verdict(results: Results) -> tuple[Statement, ...]:
    """Everything the report claims about one recipe, the ticket against dense first."""
    if compares(results):
        made = comparison(results)
    else:
        made = [made for one in contrasts(results) for made in _both(results, one)]
    said = caveats(results)
    return (*made, Statement("What to keep in mind", said)) if said else tuple(made)


def as_text(statements: Sequence[Statement], width: int = 0) -> str:
    """Plain lines; wrapped at ``width`` columns, or not at all when it is 0."""
    lines = []
    for statement in statements:
        lines.append(statement.heading)
        for sentence in statement.sentences:
            text = f"  - {sentence}"
            lines += textwrap.wrap(text, width, subsequent_indent="    ") if width else [text]
    return "\n".join(lines)


def _both(results: Results, one: Contrast) -> tuple[Statement, ...]:
    if not one.accuracy:
        return (Statement(f"{one.subject} against {one.reference}", (_nothing(one),)),)
    return (_rule(results, one), _paired(one))


def _rule(results: Results, one: Contrast) -> Statement:
    """The rule of Frankle & Carbin 2019, section 1, density by density."""
    name = "the paper's rule" if has_early_stopping(results) else "the paper's rule, accuracy only"
    heading = f"{one.subject} against {one.reference}: {name}"
    won = [place for place in range(len(one.accuracy)) if meets_rule(one, place)]
    sentences = [*(_winners(one, won) if won else _no_winner(one)), *_rule_caveats(one, results)]
    return Statement(heading, tuple(sentences))


def _winners(one: Contrast, won: Sequence[int]) -> list[str]:
    what = "Winning tickets" if one.reference == DENSE else f"{one.subject} meets it"
    if _single_only(one):
        what = "One replicate meets it"
    place = won[-1]
    found = one.accuracy[place]
    first = f"{what} at {_spans(one, won)} % of all weights: {_condition(one)}."
    smallest = (
        f"The smallest of them keeps {wording.percent(found.density_total)} %: test accuracy "
        f"{wording.accuracy(found.subject)} % against {wording.accuracy(found.reference)} % "
        f"({wording.points(found.mean)} points)"
    )
    iteration = iteration_at(one, place)
    return [first, f"{smallest}{_sooner(iteration) if iteration else ''}."]


def _no_winner(one: Contrast) -> list[str]:
    found = "No winning ticket" if one.reference == DENSE else f"{one.subject} does not meet it"
    everywhere = _spans(one, range(len(one.accuracy)))
    sentences = [f"{found} at any density ({everywhere} %): it takes {_condition(one)}."]
    if one.iteration is not None:
        halves = (("Accuracy", accurate(one)), ("Early stopping", early(one)))
        parts = [f"{half}: {_spans(one, places) or 'nowhere'}" for half, places in halves]
        sentences.append(f"Each half alone is met at (%): {'; '.join(parts)}.")
    return sentences


def _single_only(one: Contrast) -> bool:
    return all(difference.n < 2 for difference in one.accuracy)


def _condition(one: Contrast) -> str:
    """The rule in words, with the n of its means."""
    n = max(difference.n for difference in one.accuracy)
    over = f"means over {wording.plural(n, 'replicate')}"
    if one.iteration is None:
        return f"mean test accuracy at the end at least that of {one.reference} ({over})"
    return (
        f"mean test accuracy at early stopping at least that of {one.reference}, and mean "
        f"early-stopping iteration no later ({over})"
    )


def _sooner(iteration: Difference) -> str:
    means = (
        f"; early stopping at iteration {wording.iterations(iteration.subject)} against "
        f"{wording.iterations(iteration.reference)}"
    )
    if iteration.reference <= 0:
        return means
    return f"{means}, {100 * (1 - iteration.subject / iteration.reference):.0f} % sooner"


def _rule_caveats(one: Contrast, results: Results) -> list[str]:
    most = max(difference.n for difference in one.accuracy)
    said = []
    if _single_only(one):
        said.append("One replicate: an observation, which says nothing about chance.")
    fewer = [
        f"{wording.percent(difference.density_total)} % (n = {difference.n})"
        for difference in one.accuracy
        if difference.n < most
    ]
    if fewer:
        said.append(f"Fewer replicates have both sides at {', '.join(fewer)}.")
    if not has_early_stopping(results):
        said.append("This recipe has no early stopping, so speed is not judged.")
    return said


def _paired(one: Contrast) -> Statement:
    """The paired, corrected interval, in words and with every number."""
    heading = f"{one.subject} against {one.reference}: paired 95 % intervals"
    if _single_only(one):
        return Statement(heading, (_single(one),), _numbers(one))
    sentences = [_method(one), f"Test accuracy: {_groups(one.accuracy, _ACCURACY)}."]
    if one.iteration:
        sentences.append(f"Early stopping: {_groups(one.iteration, _ITERATION)}.")
    flat = [part for part in one.accuracy if part.n > 1 and part.interval is None and part.mean]
    if flat:
        listed = ", ".join(wording.percent(part.density_total) for part in flat)
        sentences.append(
            f"At {listed} % all replicates differ by the same number: no interval for accuracy "
            "there."
        )
    return Statement(heading, tuple(sentences), _numbers(one))


def _method(one: Contrast) -> str:
    n = sorted({difference.n for difference in one.accuracy})
    over = f"{n[0]} to {n[-1]} replicates" if len(n) > 1 else f"{n[0]} replicates"
    count = len(one.accuracy)
    corrected = (
        f"corrected for {count} densities (Bonferroni) so that all hold together"
        if count > 1
        else "one density, so uncorrected"
    )
    return (
        f"Differences {one.subject} minus {one.reference}, paired over {over}; "
        f"t-intervals with n − 1 degrees of freedom, {corrected}."
    )


def _single(one: Contrast) -> str:
    changes = [difference.mean for difference in one.accuracy]
    return (
        "One replicate: no interval, so nothing can be called better or worse. Observed "
        f"differences in test accuracy: {wording.points(min(changes))} to "
        f"{wording.points(max(changes))} points. Two replicates or more give intervals."
    )


def _nothing(one: Contrast) -> str:
    return (
        f"Nothing to compare: no replicate has a finished {one.subject} run and a finished "
        f"{one.reference} run{'' if one.reference == DENSE else ' at the same density'}."
    )


@dataclass(frozen=True)
class _Words:
    """How differences of one metric are told."""

    better: str
    worse: str
    unit: str
    larger_is_better: bool
    write: Callable[[float], str]


_ACCURACY = _Words("better", "worse", "points", True, wording.points)
_ITERATION = _Words("sooner", "later", "iterations", False, wording.change)


def _groups(differences: Sequence[Difference], words: _Words) -> str:
    names = {"better": words.better, "open": "not distinguishable", "worse": words.worse}
    parts = []
    for kind, name in names.items():
        places = [
            place
            for place, one in enumerate(differences)
            if outcome(one, larger_is_better=words.larger_is_better) == kind
        ]
        parts.append(f"{name} {_group(differences, places, words)}")
    return "; ".join(parts)


def _group(differences: Sequence[Difference], places: Sequence[int], words: _Words) -> str:
    if not places:
        return "nowhere"
    chosen = [differences[place] for place in places]
    if len(chosen) <= _NAMED_ONE_BY_ONE:
        listed = ", ".join(
            f"{wording.percent(one.density_total)} % ({_with_interval(one, words)})"
            for one in chosen
        )
        return f"at {listed} {words.unit}"
    labels = [wording.percent(one.density_total) for one in differences]
    changes = [one.mean for one in chosen]
    widths = [one.interval.half_width for one in chosen if one.interval is not None]
    widest = f", intervals up to ±{words.write(max(widths))[1:]}" if widths else ""
    return (
        f"at {wording.spans(places, labels)} % (differences {words.write(min(changes))} to "
        f"{words.write(max(changes))} {words.unit}{widest})"
    )


def _with_interval(one: Difference, words: _Words) -> str:
    if one.interval is None:
        return f"{words.write(one.mean)}, no interval"
    return (
        f"{words.write(one.mean)} [{words.write(one.interval.low)}, "
        f"{words.write(one.interval.high)}]"
    )


def _numbers(one: Contrast) -> tuple[tuple[str, ...], ...]:
    header = ["density_total %", "n", one.subject, one.reference, "difference in points"]
    if one.iteration is not None:
        header.append("difference in iterations")
    return (tuple(header), *(_number_line(one, place) for place in range(len(one.accuracy))))


def _number_line(one: Contrast, place: int) -> tuple[str, ...]:
    found = one.accuracy[place]
    iteration = iteration_at(one, place)
    line = [
        f"{100 * found.density_total:.2f}",
        str(found.n),
        wording.accuracy(found.subject),
        wording.accuracy(found.reference),
        _with_interval(found, _ACCURACY),
    ]
    if one.iteration is not None:
        line.append(_with_interval(iteration, _ITERATION) if iteration else "")
    return tuple(line)


def _spans(one: Contrast, places: Sequence[int]) -> str:
    labels = [wording.percent(difference.density_total) for difference in one.accuracy]
    return wording.spans(places, labels)
