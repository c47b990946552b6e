"""The rule of Frankle & Carbin 2019, section 1, in words: means, density by density."""

from __future__ import annotations

from collections.abc import Sequence

from winnow.experiment.arms import DENSE
from winnow.report import wording
from winnow.report.contrasts import (
    Contrast,
    accurate,
    early,
    has_one_replicate,
    iteration_at,
    meets_rule,
)
from winnow.report.results import Results, has_early_stopping
from winnow.report.statement import Statement
from winnow.report.statistics import Difference


def rule_statement(results: Results, pair: Contrast) -> Statement:
    """Where the subject meets the rule, and the smallest density where it does."""
    name = "the paper's rule" if has_early_stopping(results) else "the paper's rule, accuracy only"
    heading = f"{pair.subject} against {pair.reference}: {name}"
    won = [index for index in range(len(pair.accuracy)) if meets_rule(pair, index)]
    sentences = [*(_winners(pair, won) if won else _no_winner(pair)), *_weakness(pair, results)]
    return Statement(heading, tuple(sentences))


def _winners(pair: Contrast, won: Sequence[int]) -> list[str]:
    what = "Winning tickets" if pair.reference == DENSE else f"{pair.subject} meets it"
    if has_one_replicate(pair):
        what = "One replicate meets it"
    index = won[-1]
    smallest = pair.accuracy[index]
    sentence = (
        f"The smallest of them keeps {wording.percent(smallest.density_total)} %: test accuracy "
        f"{wording.accuracy(smallest.subject)} % against {wording.accuracy(smallest.reference)} % "
        f"({wording.signed_points(smallest.mean)} points)"
    )
    iteration = iteration_at(pair, index)
    return [
        f"{what} at {_spans(pair, won)} % of all weights: {_condition(pair)}.",
        f"{sentence}{_sooner(iteration) if iteration else ''}.",
    ]


def _no_winner(pair: Contrast) -> list[str]:
    none = "No winning ticket" if pair.reference == DENSE else f"{pair.subject} does not meet it"
    everywhere = _spans(pair, range(len(pair.accuracy)))
    sentences = [f"{none} at any density ({everywhere} %): it takes {_condition(pair)}."]
    if pair.iteration is not None:
        halves = (("Accuracy", accurate(pair)), ("Early stopping", early(pair)))
        parts = [f"{half}: {_spans(pair, indices) or 'nowhere'}" for half, indices in halves]
        sentences.append(f"Each half alone is met at (%): {'; '.join(parts)}.")
    return sentences


def _condition(pair: Contrast) -> str:
    """The rule in words, with the n of its means."""
    n = max(difference.n for difference in pair.accuracy)
    over = f"means over {wording.plural(n, 'replicate')}"
    if pair.iteration is None:
        return f"mean test accuracy at the end at least that of {pair.reference} ({over})"
    return (
        f"mean test accuracy at early stopping at least that of {pair.reference}, and mean "
        f"early-stopping iteration no later ({over})"
    )


def _sooner(iteration: Difference) -> str:
    means = (
        f"; early stopping at iteration {wording.rounded(iteration.subject)} against "
        f"{wording.rounded(iteration.reference)}"
    )
    if iteration.reference <= 0:
        return means
    return f"{means}, {100 * (1 - iteration.subject / iteration.reference):.0f} % sooner"


def _weakness(pair: Contrast, results: Results) -> list[str]:
    most = max(difference.n for difference in pair.accuracy)
    sentences = []
    if has_one_replicate(pair):
        sentences.append("One replicate: an observation, which says nothing about chance.")
    fewer = [
        f"{wording.percent(difference.density_total)} % (n = {difference.n})"
        for difference in pair.accuracy
        if difference.n < most
    ]
    if fewer:
        sentences.append(f"Fewer replicates have both sides at {', '.join(fewer)}.")
    if not has_early_stopping(results):
        sentences.append("This recipe has no early stopping, so speed is not judged.")
    return sentences


def _spans(pair: Contrast, indices: Sequence[int]) -> str:
    labels = [wording.percent(difference.density_total) for difference in pair.accuracy]
    return wording.spans(indices, labels)
