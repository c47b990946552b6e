"""The verdict in one sentence, with the numbers that it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from winnow.experiment.arms import DENSE, TICKET
from winnow.report import wording
from winnow.report.contrasts import (
    Contrast,
    Judgement,
    contrast,
    contrasts,
    has_one_replicate,
    iteration_at,
    judgement,
    meets_rule,
)
from winnow.report.method_table import MethodTable, by_method
from winnow.report.results import Results, compared_arms, compares, is_dense
from winnow.report.series import random_masks
from winnow.report.statistics import same_density


def brief_sentence(results: Results) -> str:
    """Where the first arm that finds tickets wins against the dense network, by the paper's rule.

    Where methods are compared: which is the most accurate at the smallest density, and how many
    differ from random masks by their paired intervals.
    """
    if compares(results):
        return _of_methods(results, by_method(results))
    pairs = (pair for pair in contrasts(results) if pair.reference == DENSE and pair.accuracy)
    pair = next(pairs, None)
    return _of_rounds(results, pair) if pair else "Nothing to compare is finished yet."


# ---- rounds of pruning


def _of_rounds(results: Results, pair: Contrast) -> str:
    labels = [wording.percent(change.density_total) for change in pair.accuracy]
    won = [place for place in range(len(labels)) if meets_rule(pair, place)]
    rule = "the paper's rule" if pair.iteration is not None else "the paper's rule, accuracy only"
    what = f"{'Winning tickets' if won else 'No winning ticket'} by {rule}"
    if pair.subject != TICKET.name:
        what = f"{pair.subject}: {what[0].lower()}{what[1:]}"
    where = wording.spans(won or range(len(labels)), labels)
    place = won[-1] if won else _most_accurate(pair)
    which = "the smallest" if won else "the most accurate"
    return (
        f"{what} at {where} % of the weights; {which}, at {labels[place]} %, has "
        f"{_numbers(results, pair, place)} ({_over(pair)}; {_chance(pair)})."
    )


def _most_accurate(pair: Contrast) -> int:
    return max(range(len(pair.accuracy)), key=lambda place: pair.accuracy[place].mean)


def _numbers(results: Results, pair: Contrast, place: int) -> str:
    """Test accuracies and stops of both sides at one density; ≥ marks stops that are censored."""
    change, stop = pair.accuracy[place], iteration_at(pair, place)
    text = (
        f"{wording.accuracy(change.subject)} % test accuracy against "
        f"{wording.accuracy(change.reference)} % of the dense network"
    )
    if stop is None:
        return text
    own = [
        row.stop_censored
        for row in results.rows
        if row.arm == pair.subject
        and not is_dense(row)
        and same_density(row.density_total, change.density_total)
    ]
    dense = [row.stop_censored for row in results.rows if is_dense(row)]
    return (
        f"{text} and stops at iteration {_at_least(own)}{wording.rounded(stop.subject)} against "
        f"{_at_least(dense)}{wording.rounded(stop.reference)}"
    )


def _at_least(censored: Sequence[bool | None]) -> str:
    return "≥ " if any(censored) else ""


def _over(pair: Contrast) -> str:
    n = max(change.n for change in pair.accuracy)
    return f"means over {wording.plural(n, 'replicate')}" if n > 1 else "one replicate"


def _chance(pair: Contrast) -> str:
    """Where the paired intervals leave out zero."""
    if has_one_replicate(pair):
        return "an observation, which says nothing about chance"
    labels = [wording.percent(change.density_total) for change in pair.accuracy]
    where = {word: wording.spans(_judged(pair, word), labels) for word in _DIFFERENT}
    found = ", ".join(f"{word} at {places} %" for word, places in where.items() if places)
    return f"by paired 95 % intervals {found or 'neither better nor worse at any density'}"


_DIFFERENT: tuple[Judgement, ...] = ("better", "worse")


def _judged(pair: Contrast, word: Judgement) -> list[int]:
    return [place for place, change in enumerate(pair.accuracy) if judgement(change) == word]


# ---- methods


def _of_methods(results: Results, table: MethodTable) -> str:
    names = {arm.name for arm in compared_arms(results)}
    last = {name: line[-1] for name, line in table.lines.items() if line and name in names}
    means = {name: estimate.mean for name, estimate in last.items() if estimate}
    if not means:
        return "Nothing to compare is finished yet."
    best = max(means, key=lambda name: means[name])  # of equal ones the recipe's first
    random = random_masks(results)
    references = {} if table.dense is None else {DENSE: table.dense.mean}
    if random is not None and random.name in means:
        references = {random.name: means[random.name], **references}
    against = " and ".join(
        f"{wording.accuracy(mean)} % of {name}" for name, mean in references.items() if name != best
    )
    return (
        f"At {wording.percent(table.densities[-1])} % of the weights {best} is the most accurate "
        f"with {wording.accuracy(means[best])} %{f', against {against}' if against else ''}; "
        f"{_how_many(results, random.name if random else DENSE)}."
    )


def _how_many(results: Results, reference: str) -> str:
    """How many methods differ from a reference at some density, by their intervals."""
    arms = [arm for arm in compared_arms(results) if arm.name != reference]
    pairs = [pair for arm in arms if (pair := contrast(results, arm.name, reference)).accuracy]
    if not pairs or all(map(has_one_replicate, pairs)):
        return "one replicate: an observation, which says nothing about chance"
    counts = {word: sum(bool(_judged(pair, word)) for pair in pairs) for word in _DIFFERENT}
    return (
        f"by paired 95 % intervals {counts['better']} of {wording.plural(len(pairs), 'method')} "
        f"are better than {reference} at some density, {counts['worse']} worse"
    )
