"""What a report is made from: plain rows and curves, one Results for each recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["done", "diverged", "unreachable"]

TICKET = "ticket"
_KNOWN = (TICKET, "reinit", "random", "one-shot", "one-shot-reinit", "one-shot-random")


@dataclass(frozen=True)
class Row:
    """One run in the plan of one recipe. Accuracies and densities are fractions in [0, 1].

    The dense run of a replicate is round 0 of the arm ``ticket``. ``draw`` counts the controls
    that one ticket has (reinit 0, 1, 2). ``unreachable``: a run that it starts from diverged.
    ``stop_*`` is read where the validation loss is lowest; ``stop_censored`` says that this is
    the last evaluation. ``accuracy_at`` maps an iteration to the test accuracy there.

    ``collapsed``: the layers without a weight left. ``cost``, where methods are compared: the
    epochs of training and scoring that the run needs with all it derives from.
    """

    recipe: str
    arm: str
    replicate: int
    draw: int
    round: int
    density: float
    density_total: float
    weights_kept: int
    run: str
    status: Status
    diverged_at: int | None
    iterations: int
    stop_iteration: int | None
    stop_censored: bool | None
    stop_validation_loss: float | None
    stop_validation_accuracy: float | None
    stop_test_accuracy: float | None
    stop_train_accuracy: float | None
    final_validation_accuracy: float | None
    final_test_accuracy: float | None
    final_train_accuracy: float | None
    accuracy_at: Mapping[int, float]
    seconds: float
    cost: float | None = None
    collapsed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Curve:
    """What one run measured on the way, at each of ``steps``; test_accuracy may be empty."""

    steps: tuple[int, ...]
    validation_loss: tuple[float, ...]
    validation_accuracy: tuple[float, ...]
    test_accuracy: tuple[float, ...]


@dataclass(frozen=True)
class Results:
    """All that a report says of one recipe.

    ``recipe`` is the recipe as dumped, nested; ``curves`` goes by the run's folder name;
    ``missing`` counts the runs of the plan that are not done yet.
    """

    name: str
    recipe: Mapping[str, Any]
    rows: tuple[Row, ...]
    curves: Mapping[str, Curve]
    missing: int
    notes: tuple[str, ...] = ()


def is_dense(row: Row) -> bool:
    """Whether the row is a dense run."""
    return row.arm == TICKET and row.round == 0


def arms(results: Results) -> tuple[str, ...]:
    """The arms that have rows, in the order of tables, statements and rows.csv.

    Where methods are compared: dense (``ticket``), then the recipe's order, each method followed
    by the arms that belong to it. Else the known ones in a fixed order, then the others by name.
    """
    present = {row.arm for row in results.rows}
    own = list(methods(results))
    if not own:
        others = sorted(present.difference(_KNOWN))
        return (*(arm for arm in _KNOWN if arm in present), *others)

    def place(arm: str) -> tuple[bool, int, bool, str]:
        method = owner(arm, own)
        return (arm != TICKET, own.index(method) if method else len(own), arm != method, arm)

    return tuple(sorted(present, key=place))


def methods(results: Results) -> dict[str, str]:
    """The arms of the methods that the recipe compares, in its order → the methods' names."""
    compare = results.recipe.get("compare")
    if not isinstance(compare, Mapping):
        return {}
    names = [(one.get("label"), str(one["name"])) for one in compare["methods"]]
    return {label or name.rpartition(":")[2]: name for label, name in names}


def owner(arm: str, compared: Iterable[str]) -> str | None:
    """The compared arm that an arm is, or belongs to by its name: snip-shuffled → snip."""
    fitting = [one for one in compared if arm == one or arm.startswith(f"{one}-")]
    return max(fitting, key=len, default=None)


def has_early_stopping(results: Results) -> bool:
    """False only where the recipe says ``train.early_stopping: false``."""
    return _setting(results, "train", "early_stopping") is not False


def compares(results: Results) -> bool:
    """Whether the recipe compares methods, each an arm."""
    return results.recipe.get("compare") is not None


def bars(results: Results) -> Literal["min-max", "interval"]:
    """What the bars in the figures show: the recipe's ``report.bars``, default ``min-max``."""
    return "interval" if _setting(results, "report", "bars") == "interval" else "min-max"


def _setting(results: Results, section: str, key: str) -> object:
    inside = results.recipe.get(section)
    return inside.get(key) if isinstance(inside, Mapping) else None
