"""The answer on rounds of pruning: what tickets keep, and what their controls do not."""

from __future__ import annotations

from collections.abc import Mapping

from winnow.report import wording
from winnow.report.answer.doubt import of_the_replicates, replicates_of
from winnow.report.answer.keeping import against_the_dense, kept
from winnow.report.answer.phrases import (
    CONTROL_ORDER,
    bracketed,
    checked_by,
    correct,
    found_by,
    is_nothing,
    of_weights,
    points_of,
    signed_points_of,
)
from winnow.report.contrasts import Contrast, accuracy_metric, contrast, judgement
from winnow.report.results import Results, control_arms
from winnow.report.statistics import Difference, dense, same_density


def round_answer(results: Results) -> tuple[str, tuple[str, ...]] | None:
    """The sentence without its stop, and its doubts; None while nothing is finished."""
    pair = against_the_dense(results)
    if pair is None:
        return _dense_alone(results)
    checked = _control(results, pair.subject)
    keeping, change = _keeping(results, pair)
    if checked is None:
        doubt = of_the_replicates(replicates_of([pair]))
        return f"{keeping}: {change}" if change else keeping, (doubt,)
    said = f"{keeping} ({change})" if change else keeping
    doubt = of_the_replicates(replicates_of([pair, checked[0]]))
    return f"{said}; {_clearest(*checked, _place(pair))}", (doubt,)


def subject_of(results: Results, pair: Contrast) -> str:
    """What the pair's subject finds, as the sentence's subject."""
    arm = next(arm for arm in results.arms if arm.name == pair.subject)
    return found_by(arm, _prune(results).get("criterion"))


def _prune(results: Results) -> Mapping[str, object]:
    section = results.recipe.get("prune")
    return section if isinstance(section, Mapping) else {}


def _dense_alone(results: Results) -> tuple[str, tuple[str, ...]] | None:
    summary = dense(results.rows, accuracy_metric(results))
    if summary is None:
        return None
    said = f"No pruned network is finished yet; the dense one has {correct(summary.mean)}"
    if _prune(results).get("rounds") == 0:
        said = f"The dense network has a test accuracy of {correct(summary.mean)}"
    return said, (wording.plural(summary.n, "replicate"),)


# ---- against dense


def _place(pair: Contrast) -> Difference:
    """The density that the sentence names: the sparsest that keeps, else the first of all."""
    place = kept(pair)
    return pair.accuracy[0 if place is None else place]


def _keeping(results: Results, pair: Contrast) -> tuple[str, str]:
    """What is kept, and by how much it differs from dense; all in the first where nothing is."""
    who, change = subject_of(results, pair), _place(pair)
    accuracy, density = correct(change.reference), of_weights(change.density_total)
    if kept(pair) is None:
        return (
            f"{who} lose accuracy from the start: at {density} of the weights they are "
            f"{points_of(change.mean)} below the dense {accuracy}{bracketed(change, by_size=True)}",
            "",
        )
    everywhere = change is pair.accuracy[-1]
    where = "at every density, down to" if everywhere else "down to"
    said = f"{who} keep the dense accuracy ({accuracy}) {where} {density} of the weights"
    return said, f"{signed_points_of(change.mean)}{bracketed(change)}"


# ---- against a control


def _control(results: Results, subject: str) -> tuple[Contrast, str] | None:
    """The contrast with the first control that has anything to compare, and what it trains."""
    controls = [arm for arm in control_arms(results) if arm.of == subject]
    for kind in CONTROL_ORDER:
        for arm in controls:
            if arm.kind == kind:
                pair = contrast(results, subject, arm.name)
                if pair.accuracy:
                    return pair, checked_by(arm)
    return None


def _clearest(pair: Contrast, control: str, named: Difference) -> str:
    """The largest difference of the clear ones, else of all; ``named``: the density above."""
    clear = [change for change in pair.accuracy if judgement(change) != "open"]
    change = max(clear or pair.accuracy, key=lambda one: abs(one.mean))
    same = same_density(change.density_total, named.density_total)
    where = "there" if same else f"at {of_weights(change.density_total)}"
    if clear:
        verb = "beat" if change.mean > 0 else "lose to"
        by = f"{points_of(change.mean)}{bracketed(change, by_size=True)}"
        return f"{where} they {verb} {control} by {by}"
    if is_nothing(change.mean):
        return f"at every density they are level with {control}"
    side = "above" if change.mean > 0 else "below"
    interval = bracketed(change, by_size=True)
    chance = f", which may be chance{interval}" if interval.startswith(" [") else interval
    return f"{where} they are {points_of(change.mean)} {side} {control}{chance}"
