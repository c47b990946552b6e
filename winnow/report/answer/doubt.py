"""What weakens an answer, in short clauses."""

from __future__ import annotations

from collections.abc import Iterable

from winnow.report import wording
from winnow.report.answer.phrases import FEW
from winnow.report.contrasts import Contrast
from winnow.report.results import Results, has_early_stopping

_MANY = 0.1  # of the runs: so many may have stopped at their last evaluation without a word
OBSERVED = "one replicate: an observation, which says nothing about chance"


def replicates_of(pairs: Iterable[Contrast]) -> int:
    """The most replicates that any difference rests on."""
    return max((change.n for pair in pairs for change in pair.accuracy), default=0)


def of_the_replicates(count: int) -> str:
    """How many there are, and what stands in brackets."""
    if count < 2:
        return OBSERVED
    said = wording.plural(count, "replicate")
    return f"{said}, 95 % intervals" if count >= FEW else f"{said}, too few to rule out chance"


def of_the_runs(results: Results) -> tuple[str, ...]:
    """Runs that are in no mean, and runs whose early stopping may be too early."""
    diverged = sum(row.status == "diverged" for row in results.rows)
    never = sum(row.status == "unreachable" for row in results.rows)
    said = [f"{wording.plural(diverged, 'run')} diverged"] if diverged else []
    said += [f"{wording.plural(never, 'run')} could not start"] if never else []
    said += [f"{wording.plural(results.missing, 'run')} still to come"] if results.missing else []
    return (*said, *_still_improving(results))


def _still_improving(results: Results) -> list[str]:
    if not has_early_stopping(results):
        return []
    done = {row.run: bool(row.stop_censored) for row in results.rows if row.status == "done"}
    cut = sum(done.values())
    if not cut or cut < _MANY * len(done):
        return []
    return [f"{cut} of {wording.plural(len(done), 'run')} were still improving at the end"]
