"""A worker in this process: how it tells the end of a task."""

from __future__ import annotations

import errno
import os
from dataclasses import asdict

from winnow.data import load
from winnow.experiment.load import load_recipe
from winnow.experiment.plan import expand
from winnow.experiment.resolve import Source
from winnow.experiment.store import Store
from winnow.experiment.worker import serve


def test_a_worker_tells_a_full_disk_from_a_defect(tmp_path, monkeypatch):
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    overrides = ["train.steps=20it", "prune.rounds=0", "model.hidden=[9, 5]"]
    content = load("digits").content
    plan = expand("small", load_recipe("lth/digits", overrides, 1), Source(1437, content))
    run = plan.nodes[0].run
    task = {"run": asdict(run), "record": plan.records[run.id].dump(), "parents": {}}
    task |= {"parent_records": {}, "checkpoint": 60.0, "about": {}}
    told = []

    def failing(code):
        def write(*_):
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(Store, "write", write)
            serve(Store(tmp_path / "runs").open(), task, lambda **answer: told.append(answer))
        return told.pop()

    for code in (errno.ENOSPC, errno.EROFS):
        answer = failing(code)
        assert (answer["event"], answer["kind"]) == ("failed", "disk")
        assert os.strerror(code) in answer["error"]
    assert failing(errno.EIO)["kind"] == "bug"
    assert list((tmp_path / "runs" / "runs").iterdir()) == []
    serve(Store(tmp_path / "runs"), task, lambda **answer: told.append(answer))
    assert told[-1] == {"event": "done", "fresh": True}
