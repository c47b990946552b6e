"""What a store holds of an experiment, as the plain rows and curves of the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from winnow.data.facts import is_reencoded
from winnow.errors import UserError
from winnow.experiment.expected import ExpectedPoint, ExpectedRun, Experiment
from winnow.experiment.runs import Run
from winnow.experiment.store.analyses import find_analysis
from winnow.experiment.store.exported import Exported, read_exported
from winnow.experiment.store.store import Found, Result, Store
from winnow.experiment.unreachable import unreachable_runs
from winnow.report.results import Curve, Details, Finding, Results, Row, Status

_NOTHING = Result(
    status="unreachable",
    diverged_at=None,
    curve={},
    stop_iteration=None,
    stop_censored=None,
    stop_validation_loss=None,
    stop={},
    final={},
    accuracy_at={},
    kept={},
    seconds=0.0,
)
"""What is known of a run that could not start."""


def read_results(
    experiment: Experiment,
    store: Store,
    notes: tuple[str, ...] = (),
    exported: Exported | None = None,
) -> Results:
    """What the store holds of an experiment. Points whose runs are not done yet only count as
    missing. Points after a diverged run are rows without numbers (``unreachable``). A run that has
    recorded less than is wanted is a row with what there is, and counts as missing too.
    ``exported``: the tables of the store, where somebody has read them already.
    """
    expected = {run.id: run for run in experiment.runs}
    exported = read_exported(store.path) if exported is None else exported
    whole = {
        i: store.find_named(run.folder, i, run.record) or _exported(exported, run)
        for i, run in expected.items()
    }
    stored = {
        i: found or store.find_named(expected[i].folder, i) or exported.runs.get(i)
        for i, found in whole.items()
    }
    unreachable = _unreachable(experiment, stored)
    rows = [
        _row(experiment.name, point, expected[point.run], stored[point.run])
        for point in experiment.points
        if stored[point.run] or point.run in unreachable
    ]
    return Results(
        name=experiment.name,
        recipe=experiment.recipe,
        arms=experiment.arms,
        rows=tuple(rows),
        curves={run.folder.name: _curve(run) for run in stored.values() if run},
        missing=sum(run is None for run in whole.values()) - len(unreachable),
        notes=notes,
        findings=tuple(_findings(experiment, store, exported)),
        details={run.folder.name: _details(run) for run in stored.values() if run},
        reencoded=any(_saw_reencoded(run.run) for run in stored.values() if run),
    )


def _details(stored: Found) -> Details:
    about = stored.provenance
    known = {name: str(about[name]) for name in _VERSIONS if name in about}
    return Details(
        id=stored.run.id,
        engine=str(about.get("engine", "")),
        seeds=stored.run.seeds,
        versions=known,
        model=stored.run.model,
        data=stored.run.data,
        kept=stored.result.kept,
    )


_VERSIONS = ("winnow", "torch", "python", "system", "machine")


def _saw_reencoded(run: Run) -> bool:
    """Whether a run was trained on images that are no exact copies of the original."""
    if run.data.own is not None:
        return False
    try:
        return is_reencoded(run.data.name, run.data.content)
    except UserError:  # a dataset that another version of Winnow knows
        return False


def _exported(exported: Exported, run: ExpectedRun) -> Found | None:
    """A run that stands in a table only, with all that reports ask of it."""
    found = exported.runs.get(run.id)
    wanted = replace(run.record, states=frozenset())
    return found if found and found.record.covers(wanted) else None


def _findings(experiment: Experiment, store: Store, exported: Exported) -> Iterator[Finding]:
    """What the store holds of the experiment's analyses."""
    for one in experiment.analyses:
        made = exported.analyses.get(one.id)
        rows = find_analysis(store, one.folder, one.id) or (made.rows if made else None)
        if rows is not None:
            yield Finding(**one.place(), rows=tuple(rows))


def _unreachable(experiment: Experiment, stored: Mapping[str, Found | None]) -> set[str]:
    parents = {run.id: run.parents for run in experiment.runs}
    status = {identity: run.result.status for identity, run in stored.items() if run}
    return unreachable_runs(parents, status)


def _row(recipe: str, point: ExpectedPoint, run: ExpectedRun, stored: Found | None) -> Row:
    result = stored.result if stored else _NOTHING
    at = result.stop_iteration
    return Row(
        recipe=recipe,
        arm=point.arm,
        replicate=point.replicate,
        draw=point.draw,
        round=point.round,
        density=point.density,
        density_total=point.density_total,
        weights_kept=point.weights_kept,
        run=stored.folder.name if stored else run.folder,
        status=_status(stored),
        diverged_at=result.diverged_at,
        iterations=run.end - run.begin,
        stop_iteration=None if at is None else at - _offset(run),
        stop_censored=result.stop_censored,
        stop_validation_loss=result.stop_validation_loss,
        stop_validation_accuracy=result.stop.get("validation"),
        stop_test_accuracy=result.stop.get("test"),
        stop_train_accuracy=result.stop.get("train"),
        final_validation_accuracy=result.final.get("validation"),
        final_test_accuracy=result.final.get("test"),
        final_train_accuracy=result.final.get("train"),
        accuracy_at={int(step): accuracy for step, accuracy in result.accuracy_at.items()},
        seconds=result.seconds,
        cost=point.cost,
        collapsed=tuple(name for name, kept in result.kept.items() if kept == 0),
        line=point.line,
        validation_at={int(step): accuracy for step, accuracy in result.validation_at.items()},
        stop_test_loss=result.stop_loss.get("test"),
        stop_train_loss=result.stop_loss.get("train"),
        final_validation_loss=result.final_loss.get("validation"),
        final_test_loss=result.final_loss.get("test"),
        final_train_loss=result.final_loss.get("train"),
        stop_train_sample_accuracy=result.stop.get("train_sample"),
        final_train_sample_accuracy=result.final.get("train_sample"),
        stop_train_sample_loss=result.stop_loss.get("train_sample"),
        final_train_sample_loss=result.final_loss.get("train_sample"),
    )


def _status(stored: Found | None) -> Status:
    if stored is None:
        return "unreachable"
    return "done" if stored.result.status == "done" else "diverged"


def _curve(stored: Found) -> Curve:
    curve = stored.result.curve
    return Curve(
        steps=tuple(step - _offset(stored.run) for step in curve["steps"]),
        validation_loss=_numbers(curve["validation_loss"]),
        validation_accuracy=tuple(curve["validation_accuracy"]),
        test_accuracy=tuple(curve["test_accuracy"]),
        test_loss=_numbers(curve.get("test_loss", ())),
        training_loss=_numbers(curve.get("training_loss", ())),
    )


def _numbers(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else value for value in values)


def _offset(run: ExpectedRun | Run) -> int:
    """What a run's own count of iterations begins at.

    A continued run, which trains past the end of its schedule, counts its own; a rewound one goes
    on counting from where it began.
    """
    return run.begin if run.end > run.steps else 0
