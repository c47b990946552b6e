"""What a report is made from: plain rows and curves, one Results for each recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from winnow.data.facts import Facts, dataset_names, facts
from winnow.experiment.arms import TICKET, Arm
from winnow.experiment.expected import AnalysisPlace
from winnow.experiment.recipe.lines import line_of
from winnow.experiment.run_parts import RunData, RunModel

Status = Literal["done", "diverged", "unreachable"]


@dataclass(frozen=True)
class Row:
    """One run in the plan of one recipe. Accuracies and densities are fractions in [0, 1].

    ``arm`` is the name of one of Results.arms. The dense run of a replicate is round 0, of the arm
    ``ticket``; no other arm has that round. ``draw`` counts the controls that one ticket has
    (reinit 1, 2, 3). ``unreachable``: a run that it starts from diverged.
    ``stop_*`` is read where the validation loss is lowest; ``stop_censored`` says that this is
    the last evaluation. ``accuracy_at`` maps an iteration to the test accuracy there.

    ``*_train_sample_*``: of a sample of the training images, where a recipe does not say
    ``train.measure: all``; then ``*_train_*`` are None.

    ``validation_at`` maps one to the validation accuracy there. Losses are mean cross-entropies,
    None where an older Winnow did not record them.

    ``collapsed``: the layers without a weight left. ``cost``, where methods are compared: the
    epochs of training and scoring that the run needs with all it derives from. ``line``: the
    variant of the recipe that it belongs to, empty where the recipe has no lines.
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
    line: str = ""
    validation_at: Mapping[int, float] = field(default_factory=dict)
    stop_test_loss: float | None = None
    stop_train_loss: float | None = None
    final_validation_loss: float | None = None
    final_test_loss: float | None = None
    final_train_loss: float | None = None
    stop_train_sample_accuracy: float | None = None
    final_train_sample_accuracy: float | None = None
    stop_train_sample_loss: float | None = None
    final_train_sample_loss: float | None = None


@dataclass(frozen=True)
class Curve:
    """What one run measured on the way, at each of ``steps``; what it did not record is empty.

    ``training_loss``: the mean loss of the updates since the last of ``steps``, NaN at the first.
    """

    steps: tuple[int, ...]
    validation_loss: tuple[float, ...]
    validation_accuracy: tuple[float, ...]
    test_accuracy: tuple[float, ...]
    test_loss: tuple[float, ...] = ()
    training_loss: tuple[float, ...] = ()


@dataclass(frozen=True)
class Details:
    """How a stored run was trained: its identity in full, its engine, its seeds by name, the
    versions and the machine that its provenance names, its network, its data, and how many weights
    each layer keeps (empty where none is removed).
    """

    id: str
    engine: str
    seeds: Mapping[str, int]
    versions: Mapping[str, str]
    model: RunModel
    data: RunData
    kept: Mapping[str, int]


@dataclass(frozen=True)
class Finding(AnalysisPlace):
    """What an analysis found at its place. ``rows``: numbers by field; the one without ``layer``
    and ``bin`` is of the whole network.
    """

    rows: tuple[Mapping[str, Any], ...]

    @property
    def whole(self) -> Mapping[str, Any]:
        """The numbers of the whole network; empty where there are none."""
        return next((row for row in self.rows if not {"layer", "bin"} & row.keys()), {})


@dataclass(frozen=True)
class Results:
    """All that a report says of one recipe.

    ``recipe`` is the recipe as dumped, nested. ``arms``: all that the experiment has, those without
    a row included, in the order of tables, statements and rows.csv. ``curves`` goes by the run's
    folder name; ``missing`` counts the runs of the plan that are not done yet. ``line``: the one
    that these results are of, where they are a part of those of a recipe with lines (`by_line`).
    ``findings``: what analyses found, in the recipe's order. ``reencoded``: whether any run has
    seen images that are known not to be the original pixels of their dataset. ``details`` go by
    the run's folder name, as curves do.

    Raises ValueError for a row of an arm that is not among ``arms``.
    """

    name: str
    recipe: Mapping[str, Any]
    arms: tuple[Arm, ...]
    rows: tuple[Row, ...]
    curves: Mapping[str, Curve]
    missing: int
    notes: tuple[str, ...] = ()
    line: str = ""
    findings: tuple[Finding, ...] = ()
    reencoded: bool = False
    details: Mapping[str, Details] = field(default_factory=dict)

    def __post_init__(self) -> None:
        strange = {row.arm for row in self.rows} - {arm.name for arm in self.arms}
        if strange:
            raise ValueError(f"rows of {sorted(strange)}, which are no arms of {self.name}")


def by_line(results: Results) -> tuple[Results, ...]:
    """The results of each line that has rows, in the recipe's order; without lines the results.

    A part counts no missing runs: those of the whole are told once.
    """
    lines = results.recipe.get("lines")
    if not lines or results.line:
        return (results,)
    return tuple(_of_line(results, line) for line in lines if _rows_of(results, line))


def _of_line(results: Results, line: str) -> Results:
    rows = _rows_of(results, line)
    present = {row.arm for row in rows} | {TICKET.name}
    return replace(
        results,
        recipe=line_of(results.recipe, line),
        arms=tuple(arm for arm in results.arms if arm.name in present),
        rows=rows,
        curves={row.run: results.curves[row.run] for row in rows if row.run in results.curves},
        missing=0,
        notes=(),
        line=line,
        findings=tuple(found for found in results.findings if found.line == line),
    )


def _rows_of(results: Results, line: str) -> tuple[Row, ...]:
    return tuple(row for row in results.rows if row.line == line)


def is_dense(row: Row) -> bool:
    """Whether the row is a dense run."""
    return row.round == 0


def arms_with_rows(results: Results) -> tuple[Arm, ...]:
    """The arms that have rows, in the order of Results.arms."""
    present = {row.arm for row in results.rows}
    return tuple(arm for arm in results.arms if arm.name in present)


def compared_arms(results: Results) -> tuple[Arm, ...]:
    """The methods that are compared and have rows, in the recipe's order; without controls."""
    present = arms_with_rows(results)
    return tuple(arm for arm in present if arm.method is not None and not arm.is_control)


def control_arms(results: Results) -> tuple[Arm, ...]:
    """The arms with rows that check another arm."""
    return tuple(arm for arm in arms_with_rows(results) if arm.is_control)


def data_facts(results: Results, name: object, line: str = "") -> Facts | None:
    """What is known of the data ``name``, as a recipe calls it: of one's own, what a stored run of
    the line has seen. None where nothing is.
    """
    if name in dataset_names():
        return facts(str(name))
    runs = [row.run for row in results.rows if line in ("", row.line)]
    seen = (results.details[run].data for run in runs if run in results.details)
    return next((data.about for data in seen if data.own is not None), None)


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
