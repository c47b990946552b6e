"""How the answer writes numbers, arms and lists: as one would say them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from winnow.experiment.arms import DENSE, Arm
from winnow.report.contrasts import judgement
from winnow.report.results import Results
from winnow.report.statistics import Difference

FEW = 3
"""Fewer replicates can tell hardly anything from chance."""

_FINDERS = {
    "ticket": "Tickets",
    "continued": "Networks that train on without rewinding",
    "one-shot": "Networks that are pruned once",
}
_CONTROLS = {
    "reinit": "the same masks with new initial weights",
    "random": "random masks",
    "random-reinit": "random masks with new initial weights",
    "shuffled": "their masks shuffled within layers",
    "reinit-masked": "the same masks with weights drawn from their own",
    "permuted": "the same masks with their own weights in another order",
}
CONTROL_ORDER = ("reinit", "random", "random-reinit", "shuffled", "reinit-masked", "permuted")
"""Which control the answer speaks of, if a ticket has several."""


def found_by(arm: Arm, criterion: object = None) -> str:
    """What an arm finds; ``criterion``: of its recipe, as random masks are no tickets."""
    if arm.kind == "ticket" and criterion == "random":
        return "Randomly pruned networks"
    return _FINDERS.get(arm.kind, f"Networks of {arm.name}")


def checked_by(arm: Arm) -> str:
    """What a control trains instead of tickets."""
    return _CONTROLS.get(arm.kind, arm.name)


def method_called(name: str) -> str:
    """A method or reference in a sentence."""
    return {"random": "random masks", DENSE: "the dense network"}.get(name, name)


def of_weights(density: float) -> str:
    """A density as one would say it: 33 %, 2.5 %, 0.77 %."""
    value = 100 * density
    return f"{value:.0f} %" if value >= 9.95 else f"{value:.2g} %"


def correct(fraction: float) -> str:
    """An accuracy: 98.2 %."""
    return f"{100 * fraction:.1f} %"


def points_of(difference: float) -> str:
    """How large a difference is, without its sign: 4.5 points."""
    return f"{abs(100 * difference):.1f} points"


def is_nothing(difference: float) -> bool:
    """Whether a difference is written as zero."""
    return abs(100 * difference) < 0.05


def signed_points_of(difference: float) -> str:
    """A difference with its sign: +0.3 points, -0.3 points, 0.0 points."""
    if is_nothing(difference):
        return "0.0 points"
    return f"{'+' if difference > 0 else '-'}{points_of(difference)}"


def bracketed(change: Difference, *, by_size: bool = False) -> str:
    """The interval behind a number, with the space before it; "" where it would say nothing.

    Two replicates give intervals that are many times wider than any difference: of these, only one
    that leaves out zero is shown. ``by_size``: seen in the direction of the difference, for "beat
    by" and "lose by".
    """
    if change.interval is None:
        return " in every replicate" if change.n > 1 and change.mean else ""
    if change.n < FEW and judgement(change) == "open":
        return ""
    low, high = change.interval.low, change.interval.high
    if by_size and change.mean < 0:
        low, high = -high, -low
    return f" [{_plain(low)}, {_plain(high)}]"


def line_names(results: Results) -> Callable[[str], str]:
    """How to call the lines of a recipe: one that is a number says of what (lr 0.1)."""
    lines = results.recipe.get("lines")
    changes = lines if isinstance(lines, Mapping) else {}
    keys = (_key_of(str(line), change) for line, change in changes.items())
    label = next(filter(None, keys), "")
    return lambda line: f"{label} {line}".strip() if _is_number(line) else line


def _key_of(line: str, change: object) -> str:
    """The last part of the key that a line sets to its own name: lr for 0.1: {optimizer.lr: 0.1}.

    A number in the name may have its unit: 500: {warmup: 500it}.
    """
    if not _is_number(line) or not isinstance(change, Mapping):
        return ""
    same = (key for key, value in change.items() if _number(str(value)) == _number(line))
    return str(next(same, "")).rpartition(".")[2]


def _number(text: str) -> float | None:
    try:
        return float(text.removesuffix("it").removesuffix("ep"))
    except ValueError:
        return None


def _is_number(line: str) -> bool:
    return _number(line) is not None and line[-1].isdigit()


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _plain(number: float) -> str:
    return f"{round(100 * number, 1) + 0.0:.1f}"
