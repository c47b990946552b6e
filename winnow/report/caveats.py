"""What a reader must know beside the verdict: runs that diverged, are missing, or were cut off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from winnow.experiment.arms import DENSE
from winnow.report import wording
from winnow.report.results import (
    Results,
    Row,
    arms_with_rows,
    has_early_stopping,
    is_dense,
)


def caveats(results: Results) -> tuple[str, ...]:
    """One sentence for each thing that weakens the numbers; none when nothing does."""
    weak = [*_collapse(results), *_censoring(results)]
    return (*_divergence(results.rows), *weak, *_absent(results))


def failures(results: Results) -> tuple[str, ...]:
    """Of these: the runs that are in no mean, as they diverged, never started or are to come."""
    return (*_divergence(results.rows), *_absent(results))


def _absent(results: Results) -> list[str]:
    said = []
    unreachable = sum(row.status == "unreachable" for row in results.rows)
    if unreachable:
        runs = wording.plural(unreachable, "run")
        said.append(f"{runs} could not start, as the run that they start from diverged.")
    if results.missing:
        runs = wording.plural(results.missing, "run")
        said.append(f"Not complete: {runs} of the plan not done yet. The numbers will change.")
    return said


def _divergence(rows: Sequence[Row]) -> list[str]:
    diverged = [row for row in rows if row.status == "diverged"]
    if not diverged:
        return []
    listed = ", ".join(
        f"{_arm(row)} at {wording.percent(row.density_total)} % (replicate {row.replicate}, "
        f"iteration {row.diverged_at})"
        for row in diverged
    )
    count = wording.plural(len(diverged), "run")
    return [f"{count} diverged; no mean has them in it, which favours their arm: {listed}."]


def _collapse(results: Results) -> list[str]:
    collapsed = [row for row in results.rows if row.collapsed]
    if not collapsed:
        return []
    of_arm = {arm.name: [row for row in collapsed if row.arm == arm.name] for arm in results.arms}
    listed = "; ".join(
        f"{arm} in {wording.plural(len(lost), 'run')}, from "
        f"{wording.percent(max(row.density_total for row in lost))} % down "
        f"({', '.join(sorted({name for row in lost for name in row.collapsed}))})"
        for arm, lost in of_arm.items()
        if lost
    )
    return [f"Layers that lost all their weights (layer collapse): {listed}."]


def _censoring(results: Results) -> list[str]:
    if not has_early_stopping(results):
        return []
    done = [row for row in results.rows if row.status == "done"]
    total = Counter(_arm(row) for row in done)
    censored = Counter(_arm(row) for row in done if row.stop_censored)
    order = [DENSE, *(arm.name for arm in arms_with_rows(results))]
    listed = ", ".join(f"{arm} {censored[arm]} of {total[arm]}" for arm in order if censored[arm])
    if not listed:
        return []
    return [
        f"The validation loss was lowest at the last evaluation (censored) in {listed} runs: "
        "early stopping would come later there, and comparisons of speed are not safe."
    ]


def _arm(row: Row) -> str:
    return DENSE if is_dense(row) else row.arm
