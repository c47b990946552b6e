"""The paired, corrected intervals of a contrast, in words and with every number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from winnow.report import wording
from winnow.report.contrasts import (
    Contrast,
    Judgement,
    has_one_replicate,
    iteration_at,
    judgement,
)
from winnow.report.statement import Statement
from winnow.report.statistics import Difference

_NAMED_ONE_BY_ONE = 4  # densities; more are given as a range, and one by one in the page's table


@dataclass(frozen=True)
class _Words:
    """How differences of one metric are put in words."""

    better: str
    worse: str
    unit: str
    larger_is_better: bool
    write: Callable[[float], str]


_ACCURACY = _Words("better", "worse", "points", True, wording.signed_points)
_ITERATION = _Words("sooner", "later", "iterations", False, wording.signed_count)


def paired_statement(pair: Contrast) -> Statement:
    """At which densities the subject is better, worse, or cannot be told apart."""
    heading = f"{pair.subject} against {pair.reference}: paired 95 % intervals"
    if has_one_replicate(pair):
        return Statement(heading, (_observation(pair),), _numbers(pair))
    sentences = [_method(pair), f"Test accuracy: {_groups(pair.accuracy, _ACCURACY)}."]
    if pair.iteration:
        sentences.append(f"Early stopping: {_groups(pair.iteration, _ITERATION)}.")
    flat = [change for change in pair.accuracy if change.n > 1 and not change.interval]
    flat = [change for change in flat if change.mean]
    if flat:
        listed = ", ".join(wording.percent(change.density_total) for change in flat)
        sentences.append(
            f"At {listed} % all replicates differ by the same number: no interval for accuracy "
            "there."
        )
    return Statement(heading, tuple(sentences), _numbers(pair))


def _method(pair: Contrast) -> str:
    n = sorted({difference.n for difference in pair.accuracy})
    over = f"{n[0]} to {n[-1]} replicates" if len(n) > 1 else f"{n[0]} replicates"
    count = len(pair.accuracy)
    corrected = (
        f"corrected for {count} densities (Bonferroni) so that all hold together"
        if count > 1
        else "one density, so uncorrected"
    )
    return (
        f"Differences {pair.subject} minus {pair.reference}, paired over {over}; "
        f"t-intervals with n − 1 degrees of freedom, {corrected}."
    )


def _observation(pair: Contrast) -> str:
    changes = [difference.mean for difference in pair.accuracy]
    return (
        "One replicate: no interval, so nothing can be called better or worse. Observed "
        f"differences in test accuracy: {wording.signed_points(min(changes))} to "
        f"{wording.signed_points(max(changes))} points. Two replicates or more give intervals."
    )


def _groups(differences: Sequence[Difference], words: _Words) -> str:
    names: dict[Judgement, str] = {
        "better": words.better,
        "open": "not distinguishable",
        "worse": words.worse,
    }
    judged = [judgement(d, larger_is_better=words.larger_is_better) for d in differences]
    parts = []
    for kind, name in names.items():
        indices = [index for index, said in enumerate(judged) if said == kind]
        parts.append(f"{name} {_group(differences, indices, words)}")
    return "; ".join(parts)


def _group(differences: Sequence[Difference], indices: Sequence[int], words: _Words) -> str:
    if not indices:
        return "nowhere"
    chosen = [differences[index] for index in indices]
    if len(chosen) <= _NAMED_ONE_BY_ONE:
        listed = ", ".join(
            f"{wording.percent(change.density_total)} % ({_with_interval(change, words)})"
            for change in chosen
        )
        return f"at {listed} {words.unit}"
    labels = [wording.percent(difference.density_total) for difference in differences]
    changes = [change.mean for change in chosen]
    widths = [change.interval.half_width for change in chosen if change.interval is not None]
    widest = f", intervals up to ±{words.write(max(widths))[1:]}" if widths else ""
    return (
        f"at {wording.spans(indices, labels)} % (differences {words.write(min(changes))} to "
        f"{words.write(max(changes))} {words.unit}{widest})"
    )


def _with_interval(change: Difference, words: _Words) -> str:
    if change.interval is None:
        return f"{words.write(change.mean)}, no interval"
    return (
        f"{words.write(change.mean)} [{words.write(change.interval.low)}, "
        f"{words.write(change.interval.high)}]"
    )


def _numbers(pair: Contrast) -> tuple[tuple[str, ...], ...]:
    header = ["density_total %", "n", pair.subject, pair.reference, "difference in points"]
    if pair.iteration is not None:
        header.append("difference in iterations")
    return (tuple(header), *(_number_line(pair, index) for index in range(len(pair.accuracy))))


def _number_line(pair: Contrast, index: int) -> tuple[str, ...]:
    change = pair.accuracy[index]
    iteration = iteration_at(pair, index)
    line = [
        f"{100 * change.density_total:.2f}",
        str(change.n),
        wording.accuracy(change.subject),
        wording.accuracy(change.reference),
        _with_interval(change, _ACCURACY),
    ]
    if pair.iteration is not None:
        line.append(_with_interval(iteration, _ITERATION) if iteration else "")
    return tuple(line)
