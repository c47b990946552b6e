"""A worker in this process: how it tells the end of a task."""

from __future__ import annotations

import errno
import os

from winnow.data import load_images
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store
from winnow.experiment.train.protocol import Answer, Order, Task
from winnow.experiment.train.worker import serve


def task_of(overrides: list[str]) -> Task:
    """The task of a plan's dense run, as the executor sends it."""
    content = load_images("digits").content
    plan = expand("small", load_recipe("lth/digits", overrides, 1), Source(1437, content))
    run = plan.nodes[0].run
    return Task((Order(run, plan.records[run.id]),))


def test_every_engine_of_a_recipe_trains_a_run(tmp_path, monkeypatch):
    """All give the same accuracies to rounding; what falls back says so in the provenance."""
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("winnow.engine.tracing.make_fx", broken)  # as compiling takes seconds
    store = Store(tmp_path / "runs").open()
    common = ["train.steps=20it", "prune.rounds=0", "model.hidden=[9, 5]"]
    told: list[Answer] = []
    for name in ("dense", "stacked", "compiled"):
        task = task_of([*common, f"engine={name}"])
        serve(store, task, told.append)
        assert told[-2:] == [Answer("done", run=task.runs[0]), Answer("idle")]
    runs = {found.run.engine: found for found in store.all()}
    assert runs.keys() == {"dense", "stacked", "compiled"}
    for found in runs.values():
        expected = runs["dense"].result.final["test"]
        assert abs(found.result.final["test"] - expected) <= 2 / 360
        assert found.provenance["engine"] == found.run.engine
    assert "engine_notes" not in runs["stacked"].provenance
    (note,) = runs["compiled"].provenance["engine_notes"]
    assert "trained by the dense engine" in note
    assert "no compiler today" in note


def broken(*_: object) -> None:
    raise RuntimeError("no compiler today")


def test_a_worker_tells_a_full_disk_from_a_defect(tmp_path, monkeypatch):
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    task = task_of(["train.steps=20it", "prune.rounds=0", "model.hidden=[9, 5]"])
    told = []

    def failing(code):
        def write(*_):
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(Store, "write", write)
            serve(Store(tmp_path / "runs").open(), task, told.append)
        return told.pop()

    for code in (errno.ENOSPC, errno.EROFS, errno.EIO):
        answer = failing(code)
        assert (answer.event, answer.fault) == ("failed", "disk")
        assert os.strerror(code) in answer.error
    assert failing(errno.EINVAL).fault == "bug"
    assert list((tmp_path / "runs" / "runs").iterdir()) == []
    serve(Store(tmp_path / "runs"), task, told.append)
    assert told[-2:] == [Answer("done", run=task.runs[0]), Answer("idle")]
