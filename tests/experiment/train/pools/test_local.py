"""Worker processes: one that dies is reported and replaced."""

from __future__ import annotations

import pytest

from winnow.data import load_images
from winnow.data.image_files import READERS
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store
from winnow.experiment.train.pools import forking, local
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


@pytest.mark.parametrize("forks", [True, False] if forking.FORKS else [False])
def test_a_worker_that_dies_is_reported_and_replaced(tmp_path, monkeypatch, forks):
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(forking, "FORKS", forks)
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


@pytest.mark.parametrize(
    ("size", "written", "each"), [(1, None, 8), (3, None, 2), (9, None, 1), (3, "5", 5)]
)
def test_workers_share_the_cores_for_reading_files(tmp_path, monkeypatch, size, written, each):
    monkeypatch.setattr(local, "usable_cores", lambda: 8)
    monkeypatch.delenv(READERS, raising=False)
    if written is not None:
        monkeypatch.setenv(READERS, written)
    monkeypatch.setattr(LocalPool, "_hire", lambda _: None)
    pool = LocalPool(tmp_path, size)
    assert pool.environment[READERS] == str(each)
    assert pool.environment["OMP_NUM_THREADS"] == "1"


def test_workers_that_cannot_start_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("winnow.experiment.train.pools.local.sys.executable", "false")

    def hear():
        pool = LocalPool(tmp_path, 2)
        try:
            answer(pool)
        finally:
            pool.close()

    with pytest.raises(WorkerError, match=r"no worker could start \(exit code 1\)"):
        hear()
