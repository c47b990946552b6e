"""Methods side by side, in words: each against a reference at equal densities, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from winnow.experiment.arms import DENSE, Arm
from winnow.report import wording
from winnow.report.contrasts import Contrast, contrast, judgement
from winnow.report.results import Results, compared_arms, control_arms
from winnow.report.statement import Statement
from winnow.report.statistics import Difference

_BOUNDS = ("least", "most")  # that pruning is expected to reach


def comparison(results: Results) -> list[Statement]:
    """Every method against random pruning, the least that is expected, and against IMP, the most;
    without both, against the first.

    Then the controls of methods at initialisation, each against its method.
    """
    methods = compared_arms(results)
    references = [arm for bound in _BOUNDS if (arm := arm_at_bound(results, bound))]
    names = [arm.name for arm in references or methods[:1]]
    if len(methods) == 1:
        names = [DENSE]
    statements = [_against(results, methods, name) for name in names]
    controls = control_arms(results)
    return [*statements, _controls(results, controls)] if controls else statements


def arm_at_bound(results: Results, bound: str) -> Arm | None:
    """The first arm with rows of the method at a bound: ``least`` or ``most``; None without one."""
    return next((arm for arm in compared_arms(results) if arm.bound == bound), None)


def _against(results: Results, methods: Sequence[Arm], reference: str) -> Statement:
    pairs = [contrast(results, arm.name, reference) for arm in methods if arm.name != reference]
    return _statement(f"Methods against {reference}", pairs, f"with {reference}")


def _controls(results: Results, controls: Sequence[Arm]) -> Statement:
    """What a control keeps of its method: where they cannot be told apart, the rest is not needed.

    Shuffled, only the counts of layers; reinitialised, the mask without its weights; inverted,
    nothing is expected to be left.
    """
    pairs = [contrast(results, arm.name, arm.of) for arm in controls if arm.of]
    return _statement("Controls against their methods", pairs, "controls with")


def _statement(heading: str, contrasts: Sequence[Contrast], with_what: str) -> Statement:
    heading = f"{heading}: paired 95 % intervals"
    finished = [pair for pair in contrasts if pair.accuracy]
    if not finished:
        return Statement(heading, (f"Nothing to compare {with_what} is finished yet.",))
    counts = sorted({difference.n for pair in finished for difference in pair.accuracy})
    if counts[-1] < 2:
        said = "One replicate: no intervals, so nothing can be called better or worse."
        return Statement(heading, (said,), _numbers(finished))
    sentences = (_how(counts), *(f"{pair.subject}: {_verdict(pair)}." for pair in finished))
    return Statement(heading, sentences, _numbers(finished))


def _how(counts: Sequence[int]) -> str:
    over = wording.plural(counts[-1], "replicate")
    return (
        f"Differences in test accuracy, paired over {over if len(counts) == 1 else f'up to {over}'}"
        "; t-intervals corrected for the densities of one method (Bonferroni), not for the number "
        "of methods. Where nothing is said, the two cannot be told apart."
    )


def _verdict(pair: Contrast) -> str:
    labels = [wording.percent(difference.density_total) for difference in pair.accuracy]
    judged = [judgement(difference) for difference in pair.accuracy]
    parts = []
    for word in ("better", "worse"):
        indices = [index for index, said in enumerate(judged) if said == word]
        if indices:
            parts.append(f"{word} at {wording.spans(indices, labels)} %")
    flat = [
        index
        for index, difference in enumerate(pair.accuracy)
        if difference.n > 1 and difference.interval is None and difference.mean
    ]
    if flat:  # without any spread there is no interval, however large the difference is
        parts.append(f"no interval at {wording.spans(flat, labels)} %, as all replicates agree")
    return "; ".join(parts) or "not distinguishable at any density"


def _numbers(pairs: Sequence[Contrast]) -> tuple[tuple[str, ...], ...]:
    header = ("method", "density_total %", "n", "accuracy %", "reference %", "difference in points")
    body = [_line(pair.subject, difference) for pair in pairs for difference in pair.accuracy]
    return (header, *body)


def _line(method: str, difference: Difference) -> tuple[str, ...]:
    interval = "no interval"
    if difference.interval is not None:
        low = wording.signed_points(difference.interval.low)
        interval = f"[{low}, {wording.signed_points(difference.interval.high)}]"
    return (
        method,
        f"{100 * difference.density_total:.2f}",
        str(difference.n),
        wording.accuracy(difference.subject),
        wording.accuracy(difference.reference),
        f"{wording.signed_points(difference.mean)} {interval}",
    )
