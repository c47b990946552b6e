"""From a store to rows and curves, field by field: every number of the made-up runs is another."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_runs import RUN

from winnow.experiment.arms import OF_ROUNDS
from winnow.experiment.expected import ExpectedPoint, ExpectedRun, Experiment
from winnow.experiment.runs import Record, Run, Start
from winnow.experiment.store.exported import Exported, read_exported, write_exported
from winnow.experiment.store.store import Result, Store
from winnow.report.read import read_results
from winnow.report.results import Curve, Details, Results, Row

DENSE = RUN
REWOUND = replace(RUN, begin=70, start=Start("state", DENSE.id, 70))
CONTINUED = replace(RUN, begin=500, end=900, steps=500, start=Start("final", DENSE.id))
AFTER = replace(RUN, begin=900, end=1300, steps=500, start=Start("final", CONTINUED.id))


def result(**changes: Any) -> Result:
    fields: dict[str, Any] = {
        "status": "done",
        "diverged_at": None,
        "curve": {
            "steps": [600, 740, 900],
            "validation_loss": [0.61, None, 0.63],
            "validation_accuracy": [0.64, 0.65, 0.66],
            "test_accuracy": [0.67, 0.68, 0.69],
        },
        "stop_iteration": 740,
        "stop_censored": False,
        "stop_validation_loss": 0.11,
        "stop": {"validation": 0.12, "test": 0.13, "train": 0.14},
        "final": {"validation": 0.22, "test": 0.23, "train": 0.24},
        "accuracy_at": {"300": 0.31, "20": 0.32},
        "kept": {"first": 5, "second": 0, "third": 0, "fourth": 1},
        "seconds": 41.5,
    }
    return Result(**{**fields, **changes})


def expected(*runs: Run, record: Record | None = None) -> tuple[ExpectedRun, ...]:
    """Runs as the plan writes them, with those of their parents that are among them."""
    wanted, ids = record or Record(), {run.id for run in runs}
    return tuple(
        ExpectedRun(
            id=run.id,
            folder=run.folder,
            parents=tuple(parent for parent in run.parents if parent in ids),
            begin=run.begin,
            end=run.end,
            steps=run.steps,
            record=wanted,
        )
        for run in runs
    )


def point(run: Run, round_: int = 1, **changes: Any) -> ExpectedPoint:
    fields: dict[str, Any] = {
        "arm": "reinit",
        "replicate": 2,
        "draw": 3,
        "round": round_,
        "run": run.id,
        "weights_kept": 1234,
        "density": 0.51,
        "density_total": 0.52,
        "cost": 7.25,
    }
    return ExpectedPoint(**{**fields, **changes})


def read(
    store: Store,
    *runs: Run,
    record: Record | None = None,
    exported: Exported | None = None,
    **changes: Any,
) -> Results:
    fields: dict[str, Any] = {
        "name": "lth/made-up",
        "recipe": {"title": "Made up"},
        "arms": OF_ROUNDS,
        "points": tuple(point(run, number) for number, run in enumerate(runs)),
        "runs": expected(*runs, record=record),
    }
    return read_results(Experiment(**{**fields, **changes}), store, ("A note.",), exported)


@pytest.fixture
def store(tmp_path: Any) -> Store:
    return Store(tmp_path / "store").open()


def write(store: Store, run: Run, record: Record | None = None, **changes: Any) -> None:
    store.write(run, record or Record(), result(**changes), {}, {})


def test_every_field_of_a_row(store: Store) -> None:
    write(store, REWOUND)
    results = read(store, REWOUND, points=(point(REWOUND, 4),))
    assert results.rows == (
        Row(
            recipe="lth/made-up",
            arm="reinit",
            replicate=2,
            draw=3,
            round=4,
            density=0.51,
            density_total=0.52,
            weights_kept=1234,
            run=REWOUND.folder,
            status="done",
            diverged_at=None,
            iterations=430,
            stop_iteration=740,
            stop_censored=False,
            stop_validation_loss=0.11,
            stop_validation_accuracy=0.12,
            stop_test_accuracy=0.13,
            stop_train_accuracy=0.14,
            final_validation_accuracy=0.22,
            final_test_accuracy=0.23,
            final_train_accuracy=0.24,
            accuracy_at={20: 0.32, 300: 0.31},
            seconds=41.5,
            cost=7.25,
            collapsed=("second", "third"),
        ),
    )
    assert (results.name, results.recipe) == ("lth/made-up", {"title": "Made up"})
    assert (results.arms, results.missing, results.notes) == (OF_ROUNDS, 0, ("A note.",))


def test_every_field_of_a_curve(store: Store) -> None:
    write(store, REWOUND)
    curve = read(store, REWOUND).curves[REWOUND.folder]
    assert curve.steps == (600, 740, 900)
    assert curve.validation_loss[::2] == (0.61, 0.63)
    assert math.isnan(curve.validation_loss[1])
    assert curve.validation_accuracy == (0.64, 0.65, 0.66)
    assert curve.test_accuracy == (0.67, 0.68, 0.69)


def test_a_continued_run_counts_its_own_iterations(store: Store) -> None:
    write(store, CONTINUED, stop_iteration=740)
    results = read(store, CONTINUED)
    (row,) = results.rows
    assert (row.iterations, row.stop_iteration) == (400, 240)
    assert results.curves[CONTINUED.folder].steps == (100, 240, 400)


def test_a_run_that_ends_with_its_schedule_goes_on_counting(store: Store) -> None:
    exactly = replace(CONTINUED, end=700, steps=700)
    write(store, exactly)
    results = read(store, exactly)
    assert (results.rows[0].iterations, results.rows[0].stop_iteration) == (200, 740)
    assert results.curves[exactly.folder].steps == (600, 740, 900)


def test_a_diverged_run_and_those_that_need_it(store: Store) -> None:
    """Its children and their children are rows without numbers; one that was made is one with."""
    after, made = replace(AFTER, draw=1), replace(AFTER, draw=2)
    child = replace(RUN, draw=4, start=Start("final", after.id))
    diverged: dict[str, Any] = {
        **dict.fromkeys(("stop_iteration", "stop_censored", "stop_validation_loss")),
        **{name: {} for name in ("stop", "final", "accuracy_at")},
        "kept": {"first": 3},
    }
    write(store, DENSE)
    write(store, CONTINUED, status="diverged", diverged_at=617, **diverged)
    write(store, made)
    results = read(store, DENSE, CONTINUED, REWOUND, after, made, child)
    statuses = {row.run: row.status for row in results.rows}
    assert statuses == {
        DENSE.folder: "done",
        CONTINUED.folder: "diverged",
        after.folder: "unreachable",
        made.folder: "done",
        child.folder: "unreachable",
    }
    assert results.missing == 1  # the rewound one, which a run that is done makes possible
    assert set(results.curves) == {DENSE.folder, CONTINUED.folder, made.folder}
    lost = next(row for row in results.rows if row.status == "unreachable")
    numbers = (lost.diverged_at, lost.stop_iteration, lost.stop_censored, lost.stop_validation_loss)
    stop = (lost.stop_validation_accuracy, lost.stop_test_accuracy, lost.stop_train_accuracy)
    final = (lost.final_validation_accuracy, lost.final_test_accuracy, lost.final_train_accuracy)
    assert {*numbers, *stop, *final} == {None}
    assert (lost.accuracy_at, lost.seconds, lost.collapsed) == ({}, 0.0, ())
    assert (lost.weights_kept, lost.cost, lost.iterations) == (1234, 7.25, 400)
    failed = next(row for row in results.rows if row.status == "diverged")
    assert (failed.diverged_at, failed.stop_iteration, failed.final_test_accuracy) == (
        617, None, None
    )  # fmt: skip


def test_a_run_needs_only_one_diverged_parent_to_be_unreachable(store: Store) -> None:
    child = replace(REWOUND, pruning=None, start=Start("state", CONTINUED.id, 600))
    write(store, DENSE)
    write(store, CONTINUED, status="diverged", diverged_at=617)
    runs = expected(DENSE, CONTINUED, child)
    both = replace(runs[2], parents=(DENSE.id, CONTINUED.id))
    fine = replace(runs[2], parents=(DENSE.id,))
    points = tuple(point(run) for run in (DENSE, CONTINUED, child))
    lost = read(store, runs=(*runs[:2], both), points=points)
    assert [row.status for row in lost.rows] == ["done", "diverged", "unreachable"]
    assert lost.missing == 0
    kept = read(store, runs=(*runs[:2], fine), points=points)
    assert [row.status for row in kept.rows] == ["done", "diverged"]
    assert kept.missing == 1


def test_one_run_may_be_several_points(store: Store) -> None:
    write(store, DENSE)
    results = read(store, DENSE, points=(point(DENSE, 0), point(DENSE, 0, replicate=5)))
    assert [row.replicate for row in results.rows] == [2, 5]
    assert list(results.curves) == [DENSE.folder]
    assert read(store, REWOUND, points=(point(REWOUND), point(REWOUND, 2))).missing == 1


def test_the_copy_that_records_what_is_wanted_is_read(store: Store) -> None:
    wanted = Record(accuracy_at=frozenset({20}))
    write(store, DENSE, seconds=1.0)
    less = read(store, DENSE, record=wanted)
    assert (less.missing, [row.seconds for row in less.rows]) == (1, [1.0])  # with what there is
    write(store, DENSE, wanted, seconds=2.0)
    results = read(store, DENSE, record=wanted)
    assert [(row.run, row.seconds) for row in results.rows] == [(f"{DENSE.folder}.2", 2.0)]
    assert isinstance(results.curves[f"{DENSE.folder}.2"], Curve)
    assert read(store, DENSE).rows[0].seconds == 1.0


# ---- how a run was trained

ABOUT = {
    "engine": "sparse-cpu",
    "winnow": "1.2",
    "torch": "2.9",
    "python": "3.13",
    "system": "Linux",
    "machine": "x86_64",
    "recipe": {"name": "x"},
    "choice": {"engine": "auto"},
}
WANTED = Details(
    id=REWOUND.id,
    engine="sparse-cpu",
    seeds={"init": 0, "order": 0},
    versions={name: ABOUT[name] for name in ("winnow", "torch", "python", "system", "machine")},
    model=RUN.model,
    data=RUN.data,
    kept={"first": 5, "second": 0, "third": 0, "fourth": 1},
)


def exported(store: Store, folder: Path, *runs: Run) -> Exported:
    """The runs of a store, read back from a table."""
    found = [store.find_named(run.folder, run.id) for run in runs]
    write_exported(folder, "made-up", [one for one in found if one is not None])
    return read_exported(folder)


def test_details_say_how_a_stored_run_was_trained(store: Store) -> None:
    store.write(REWOUND, Record(), result(), {}, ABOUT)
    results = read(store, REWOUND)
    assert results.details == {REWOUND.folder: WANTED}
    assert results.details.keys() == results.curves.keys()


def test_details_are_the_same_from_an_exported_table(store: Store, tmp_path: Path) -> None:
    store.write(REWOUND, Record(), result(), {}, ABOUT)
    table = exported(store, tmp_path / "tables", REWOUND)
    empty = Store(tmp_path / "empty").open()
    results = read(empty, REWOUND, exported=table)
    assert (results.missing, [row.status for row in results.rows]) == (0, ["done"])
    assert results.details == {REWOUND.folder: WANTED}
    assert results.rows == read(store, REWOUND).rows
    beside = Store(tmp_path / "tables").open()
    assert read(beside, REWOUND).details == {REWOUND.folder: WANTED}


def test_what_provenance_does_not_say_is_not_in_details(store: Store) -> None:
    store.write(REWOUND, Record(), result(kept={}), {}, {"python": 3})
    (found,) = read(store, REWOUND).details.values()
    assert (found.engine, found.versions, found.kept) == ("", {"python": "3"}, {})


def test_runs_that_never_started_have_no_details(store: Store) -> None:
    write(store, DENSE)
    write(store, CONTINUED, status="diverged", diverged_at=617)
    results = read(store, DENSE, CONTINUED, AFTER)
    assert [row.status for row in results.rows] == ["done", "diverged", "unreachable"]
    assert set(results.details) == {DENSE.folder, CONTINUED.folder}
