"""Worker processes: one that dies is reported and replaced."""

from __future__ import annotations

import pytest

from winnow.data import load_images
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store
from winnow.experiment.train.pools.local import LocalPool
from winnow.experiment.train.protocol import Answer, Order, Task, WorkerError


def long_task():
    overrides = ["train.steps=1000000it", "prune.rounds=0", "engine=dense"]
    recipe = load_recipe("lth/digits", [*overrides, "model.hidden=[9, 5]"], 1)
    plan = expand("small", recipe, Source(1437, load_images("digits").content))
    return Task((Order(plan.nodes[0].run, plan.nodes[0].record),))


def answer(pool):
    while (reported := pool.next_answer(0.5)) is None:
        pass
    return reported


def test_a_worker_that_dies_is_reported_and_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    pool, task = LocalPool(Store(tmp_path / "runs").open().path, 1), long_task()
    try:
        pool.start(task)
        assert pool.free == 0
        about, first = answer(pool)
        assert about is task
        assert (first.event, first.run) == ("step", task.runs[0])
        pool.workers[0].process.kill()
        while (last := answer(pool)[1]).event == "step":
            pass
        assert last == Answer("died", error="-9")
        assert pool.free == 1
        pool.start(task)
        assert answer(pool)[1].event == "step"
    finally:
        pool.close()
    assert pool.workers == []


def test_workers_that_cannot_start_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("winnow.experiment.train.pools.local.sys.executable", "false")
    pool = LocalPool(tmp_path, 2)
    try:
        with pytest.raises(WorkerError, match=r"no worker could start \(exit code 1\)"):
            answer(pool)
    finally:
        pool.close()
