"""What a store holds of an experiment, as the plain rows and curves of the report."""

from __future__ import annotations

from winnow.experiment.expected import ExpectedPoint, ExpectedRun, Experiment
from winnow.experiment.store.store import Found, Result, Store
from winnow.report.results import Curve, Results, Row, Status


def read_results(experiment: Experiment, store: Store, notes: tuple[str, ...] = ()) -> Results:
    """What the store holds of an experiment. Points whose runs are not done yet only count as
    missing. Points after a diverged run are rows without numbers (``unreachable``).
    """
    runs = {run.id: run for run in experiment.runs}
    found = {i: store.find_named(run.folder, i, run.record) for i, run in runs.items()}
    unreachable = _unreachable(experiment, found)
    rows = [
        _row(experiment.name, point, runs[point.run], found[point.run])
        for point in experiment.points
        if found[point.run] or point.run in unreachable
    ]
    curves = {f.folder.name: _curve(f) for f in found.values() if f}
    missing = sum(f is None for f in found.values()) - len(unreachable)
    return Results(experiment.name, experiment.recipe, tuple(rows), curves, missing, notes)


def _unreachable(experiment: Experiment, found: dict[str, Found | None]) -> set[str]:
    """The runs that need a diverged one."""
    lost: set[str] = set()
    for run in experiment.runs:
        parents = [found[parent] for parent in run.parents]
        after_diverged = any(p and p.result.status == "diverged" for p in parents)
        if found[run.id] is None and (after_diverged or lost & set(run.parents)):
            lost.add(run.id)
    return lost


def _row(recipe: str, node: ExpectedPoint, run: ExpectedRun, found: Found | None) -> Row:
    result = found.result if found else None
    status: Status = "unreachable"
    if result is not None:
        status = "done" if result.status == "done" else "diverged"
    stop, final = (result.stop, result.final) if result else ({}, {})
    # A continued run counts its own iterations; a rewound one goes on counting from where it began.
    offset = run.begin if run.end > run.steps else 0
    at = result.stop_iteration if result else None
    return Row(
        recipe=recipe,
        arm=node.arm,
        replicate=node.replicate,
        draw=node.draw,
        round=node.round,
        density=node.density,
        density_total=node.density_total,
        weights_kept=node.weights_kept,
        run=found.folder.name if found else run.folder,
        status=status,
        diverged_at=result.diverged_at if result else None,
        iterations=run.end - run.begin,
        stop_iteration=None if at is None else at - offset,
        stop_censored=result.stop_censored if result else None,
        stop_validation_loss=result.stop_validation_loss if result else None,
        stop_validation_accuracy=stop.get("validation"),
        stop_test_accuracy=stop.get("test"),
        stop_train_accuracy=stop.get("train"),
        final_validation_accuracy=final.get("validation"),
        final_test_accuracy=final.get("test"),
        final_train_accuracy=final.get("train"),
        accuracy_at={int(k): v for k, v in result.accuracy_at.items()} if result else {},
        seconds=result.seconds if result else 0.0,
        cost=node.cost,
        collapsed=_collapsed(result),
    )


def _collapsed(result: Result | None) -> tuple[str, ...]:
    return tuple(name for name, kept in result.kept.items() if kept == 0) if result else ()


def _curve(found: Found) -> Curve:
    curve, run = found.result.curve, found.run
    offset = run.begin if run.end > run.steps else 0
    loss = [float("nan") if v is None else v for v in curve["validation_loss"]]
    return Curve(
        tuple(step - offset for step in curve["steps"]),
        tuple(loss),
        tuple(curve["validation_accuracy"]),
        tuple(curve["test_accuracy"]),
    )
