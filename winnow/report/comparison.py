"""Methods side by side, in words: each against a reference at equal densities, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from winnow.experiment.recipe.compare import CONTROLS
from winnow.report import wording
from winnow.report.contrasts import DENSE, Contrast, contrast, outcome
from winnow.report.results import TICKET, Results, arms, compares, methods
from winnow.report.statement import Statement
from winnow.report.statistics import Difference

_REFERENCES = ("random", "imp")  # the least and the most that pruning is expected to reach
_WORDS = {"better": "better", "worse": "worse"}


def methods_of(results: Results) -> list[str]:
    """The compared methods that have rows, in the order of tables; without their controls."""
    if not compares(results):
        return []
    controls = controls_of(results)
    return [arm for arm in arms(results) if arm != TICKET and arm not in controls]


def controls_of(results: Results) -> dict[str, str]:
    """The arms that control a method at initialisation → the method's own."""
    own = methods(results)
    found = {f"{arm}-{name}": arm for arm in own for name in CONTROLS}
    return {arm: found[arm] for arm in arms(results) if arm in found and arm not in own}


def comparison(results: Results) -> list[Statement]:
    """Every method against random pruning and against IMP; without both, against the first.

    Then the controls of methods at initialisation, each against its method.
    """
    shown = methods_of(results)
    references = [name for name in _REFERENCES if name in shown] or shown[:1]
    if len(shown) == 1:
        references = [DENSE]
    made = [_against(results, shown, reference) for reference in references]
    controls = controls_of(results)
    return [*made, _controls(results, controls)] if controls else made


def _against(results: Results, shown: Sequence[str], reference: str) -> Statement:
    found = [contrast(results, arm, reference) for arm in shown if arm != reference]
    return _statement(f"Methods against {reference}", found, f"with {reference}")


def _controls(results: Results, controls: Mapping[str, str]) -> Statement:
    """What a control keeps of its method: where they cannot be told apart, the rest is not needed.

    Shuffled, only the counts of layers; reinitialised, the mask without its weights; inverted,
    nothing is expected to be left.
    """
    found = [contrast(results, arm, method) for arm, method in controls.items()]
    return _statement("Controls against their methods", found, "controls with")


def _statement(heading: str, contrasts: Sequence[Contrast], with_what: str) -> Statement:
    heading = f"{heading}: paired 95 % intervals"
    found = [one for one in contrasts if one.accuracy]
    if not found:
        return Statement(heading, (f"Nothing to compare {with_what} is finished yet.",))
    counts = sorted({one.n for each in found for one in each.accuracy})
    if counts[-1] < 2:
        said = "One replicate: no intervals, so nothing can be called better or worse."
        return Statement(heading, (said,), _numbers(found))
    sentences = (_how(counts), *(f"{one.subject}: {_found(one)}." for one in found))
    return Statement(heading, sentences, _numbers(found))


def _how(counts: Sequence[int]) -> str:
    over = wording.plural(counts[-1], "replicate")
    return (
        f"Differences in test accuracy, paired over {over if len(counts) == 1 else f'up to {over}'}"
        "; t-intervals corrected for the densities of one method (Bonferroni), not for the number "
        "of methods. Where nothing is said, the two cannot be told apart."
    )


def _found(one: Contrast) -> str:
    labels = [wording.percent(each.density_total) for each in one.accuracy]
    parts = []
    for kind, word in _WORDS.items():
        places = [k for k, each in enumerate(one.accuracy) if outcome(each) == kind]
        if places:
            parts.append(f"{word} at {wording.spans(places, labels)} %")
    flat = [k for k, each in enumerate(one.accuracy) if each.interval is None and each.mean]
    if flat:  # without any spread there is no interval, however large the difference is
        parts.append(f"no interval at {wording.spans(flat, labels)} %, as all replicates agree")
    return "; ".join(parts) or "not distinguishable at any density"


def _numbers(found: Sequence[Contrast]) -> tuple[tuple[str, ...], ...]:
    header = ("method", "density_total %", "n", "accuracy %", "reference %", "difference in points")
    body = [_line(one.subject, each) for one in found for each in one.accuracy]
    return (header, *body)


def _line(method: str, one: Difference) -> tuple[str, ...]:
    interval = "no interval"
    if one.interval is not None:
        low, high = wording.points(one.interval.low), wording.points(one.interval.high)
        interval = f"[{low}, {high}]"
    return (
        method,
        f"{100 * one.density_total:.2f}",
        str(one.n),
        wording.accuracy(one.subject),
        wording.accuracy(one.reference),
        f"{wording.points(one.mean)} {interval}",
    )
