"""Commands that only read leave a store as it is, whatever is damaged in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import RECIPE, winnow

from winnow.experiment.store.store import Store

pytestmark = pytest.mark.usefixtures("own_cache")
TWO = RECIPE.replace("rounds: 1", "rounds: 2")


def snapshot(store: Path) -> dict[str, object]:
    """Every path below, hidden ones too, with its content and the time of its last change."""
    return {
        str(path.relative_to(store)): (
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [store, *store.rglob("*")]
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory, own_cache):  # noqa: ARG001
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.yaml").write_text(RECIPE)
    answer = winnow("run", folder / "small.yaml", "--store", folder / "runs", "--jobs", 1, "-q")
    assert answer.code == 0, answer
    return folder


@pytest.mark.slow
def test_a_damaged_store_is_read_and_left_as_it_is(finished, tmp_path):
    store, recipe = tmp_path / "runs", finished / "small.yaml"
    shutil.copytree(finished / "runs", store)
    dense = next(store.glob("runs/*-dense-*"))
    (dense / "result.json").write_text("{")
    for file in store.glob("experiments/*/experiment.json"):
        file.write_text(file.read_text()[:-30])
    (store / "runs" / ".half.0123.tmp").mkdir()
    (store / "locks" / "left.lock").touch()
    (store / "checkpoints" / ("0" * 64 + ".safetensors")).write_bytes(b"half")
    ticket = next(path for path in store.glob("runs/*") if path != dense).name
    before = snapshot(store)
    at = ("--store", store)
    answers = [
        winnow("plan", recipe, *at),
        winnow("report", recipe, *at, "--out", tmp_path / "out"),
        winnow("ls", *at),
        winnow("show", ticket, *at),
        winnow("claims", *at),
        winnow("ticket", ticket, *at, "--to", tmp_path / "t.safetensors"),
        winnow("export", recipe, *at, "--out", tmp_path / "exported"),
    ]
    assert snapshot(store) == before
    named = [answer.err.count(f"damaged: {dense}") for answer in answers]
    assert named[0] == named[1] == named[2] == 1  # by plan, report and ls, each once
    assert answers[0].code == answers[2].code == 0
    again = winnow("run", recipe, *at, "--jobs", 1, "-q")
    assert again.code == 0
    assert f"damaged: {dense}" in again.err
    assert list((store / "damaged").iterdir())
    assert not [*store.rglob(".*.tmp"), *store.glob("locks/*")]


def test_what_a_reader_is_not_told_it_may_write_it_does_not(tmp_path):
    store = Store(tmp_path).open(write=False)
    (tmp_path / "x").touch()
    store.set_aside(tmp_path / "x", "no reason")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.slow
def test_recipes_of_one_file_name_have_pages_of_their_own(finished, tmp_path):
    store = tmp_path / "runs"
    shutil.copytree(finished / "runs", store)
    page = store / "reports" / "small" / "index.html"
    first = page.read_bytes()
    other = tmp_path / "small.yaml"
    other.write_text(TWO)
    answer = winnow("run", other, "--store", store, "--jobs", 1, "-q")
    assert answer.code == 0, answer
    its = Path(answer.out.splitlines()[-1].removeprefix("page: "))
    assert its != page
    assert its.parent.name.startswith("small-")
    assert page.read_bytes() == first
    for path, where in ((other, its), (finished / "small.yaml", page)):  # each keeps its own
        again = winnow("run", path, "--store", store, "--jobs", 1, "-q")
        assert again.out.splitlines()[-1] == f"page: {where}"
    assert len(list((store / "reports").iterdir())) == 2


@pytest.mark.parametrize("what", ["all", "a run"])
def test_a_store_that_is_deleted_during_a_run_is_an_error(finished, tmp_path, monkeypatch, what):
    from winnow import experiments

    store, execute = tmp_path / "runs", experiments.execute
    shutil.copytree(finished / "runs", store)

    def deleting(*arguments):
        execute(*arguments)
        shutil.rmtree(store if what == "all" else next(store.glob("runs/*")))

    monkeypatch.setattr(experiments, "execute", deleting)
    answer = winnow("run", finished / "small.yaml", "--store", store, "--jobs", 1, "-q")
    assert answer.code == 1
    assert str(store) in answer.err
    assert "deleted or moved" in answer.err
    assert answer.out == ""
    assert store.exists() == (what != "all")  # it is not made again


def test_a_run_is_not_written_into_a_store_that_is_gone(finished, tmp_path):
    from winnow.experiment.runs import load_run
    from winnow.experiment.store.store import LostStoreError

    plain = json.loads(next(finished.glob("runs/runs/*/run.json")).read_text())
    store = Store(tmp_path / "runs").open()
    shutil.rmtree(store.path)
    with pytest.raises(LostStoreError, match="deleted"), store.lock(load_run(plain["run"])):
        pass
    assert not store.path.exists()
