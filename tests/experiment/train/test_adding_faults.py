"""What is added to finished runs when something goes wrong on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from shutil import copytree, rmtree

import pytest
from adding_runs import LENGTH, bits, contents, count_trained, executed, folders, plan_of

from winnow.experiment.store.additions import addition_folders
from winnow.experiment.train import adding, again
from winnow.experiment.train.protocol import WorkerError
from winnow.experiment.train.tasks import as_files

pytestmark = pytest.mark.usefixtures("own_cache", "no_fsync")


@pytest.fixture
def trained(monkeypatch):
    return count_trained(monkeypatch)


MORE = {"train": {"accuracy_at": ["30it", "50it"]}}


def dense_of(store, plan):
    run = next(iter(plan.runs.values()))
    return store.find(run)


@pytest.mark.parametrize(
    ("at", "checkpoint"),
    [(41, 0.0), *(pytest.param(a, c, marks=pytest.mark.slow) for a in (3, 30) for c in (0, 60))],
)
def test_killed_in_the_middle_it_goes_on_and_the_run_stays(
    at,
    checkpoint,
    tmp_path,
    trained,
    monkeypatch,
):
    few, more = plan_of(), plan_of(**MORE)
    store = executed(few, tmp_path / "runs")
    files = contents(store)
    trained.clear()

    advance = again.Again.advance

    def cut(self, to):
        if to > at:
            raise RuntimeError
        advance(self, to)

    with monkeypatch.context() as patch:
        patch.setattr(again.Again, "advance", cut)
        with pytest.raises(WorkerError):
            executed(more, tmp_path / "runs", checkpoint)
    assert contents(store) == files
    executed(more, tmp_path / "runs", checkpoint)
    dense = next(iter(more.runs))
    last = max(step for step in (0, 1, 3, 7, 15, 30, 31, 33, 37, 40, 41) if step <= at)
    assert trained[dense] == 50 if not checkpoint else trained[dense] <= 50 + last
    assert bits(store, more) == bits(executed(more, tmp_path / "whole"), more)
    assert not [p for p in (store.path / "checkpoints").iterdir() if p.suffix == ".safetensors"]


def spoil_text(folder):
    (folder / "added.json").write_text((folder / "added.json").read_text().replace("0.", "0.1", 1))


def spoil_state(folder):
    (folder / "step-50.safetensors").unlink()


def spoil_place(folder):
    plain = json.loads((folder / "added.json").read_text())
    plain["of"] = "0" * 64
    (folder / "added.json").write_text(json.dumps(plain))


@pytest.mark.parametrize("spoil", [spoil_text, spoil_state, spoil_place])
def test_a_damaged_addition_is_made_again_and_its_run_stays(spoil, tmp_path, trained, capsys):
    few, more = plan_of(), plan_of(**MORE)
    store = executed(few, tmp_path / "runs")
    files = contents(store)
    executed(more, tmp_path / "runs")
    found = dense_of(store, more)
    (folder,) = addition_folders(found.folder)
    spoil(folder)
    assert store.find(found.run, few.records[found.run.id]) is not None
    assert store.find(found.run, more.records[found.run.id]) is None
    trained.clear()
    executed(more, tmp_path / "runs")
    assert trained == {found.run.id: 50}
    assert "damaged" in capsys.readouterr().err
    assert all(contents(store)[path] == data for path, data in files.items())
    assert bits(store, more) == bits(executed(more, tmp_path / "whole"), more)


def test_a_damaged_state_of_an_addition_costs_the_addition_alone(tmp_path, trained):
    """The child that needs it is trained after it was made again."""
    executed(plan_of(), tmp_path / "runs")
    child = plan_of(prune={"rewind": "25it"})
    some = plan_of(prune={"rewind": "25it", "rounds": 0})
    dense = next(iter(child.runs))
    some.records[dense] = child.records[dense]
    store = executed(some, tmp_path / "runs")
    (folder,) = addition_folders(dense_of(store, some).folder)
    file = folder / "step-25.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    trained.clear()
    executed(child, tmp_path / "runs")
    assert trained.pop(dense) == 25
    assert set(trained.values()) == {LENGTH - 25}
    assert bits(store, child) == bits(executed(child, tmp_path / "whole"), child)


@pytest.mark.parametrize("made", [{"torch": "1.0"}, {"choice": None, "engine": "sparse"}])
def test_what_was_made_otherwise_is_trained_again_as_a_whole(
    made, tmp_path, trained, monkeypatch, capsys
):
    few, more = plan_of(), plan_of(**MORE)
    store = executed(few, tmp_path / "runs")
    choice_of = adding._choice_of

    def otherwise(found):
        return choice_of(replace(found, provenance={**found.provenance, **made}))

    monkeypatch.setattr(adding, "_choice_of", otherwise)
    trained.clear()
    executed(more, tmp_path / "runs")
    assert trained == dict.fromkeys(more.runs, LENGTH)
    assert "is trained again as a whole to record more of it" in capsys.readouterr().err
    assert sum(name.endswith(".2") for name in folders(store)) == len(more.runs)
    assert bits(store, more) == bits(executed(more, tmp_path / "whole"), more)


def test_numbers_that_do_not_come_out_the_same_are_not_mixed(tmp_path, trained, capsys):
    """A stored curve of another machine: its loss at 40 is another one in the last bit."""
    few, more = plan_of(), plan_of(**MORE)
    store = executed(few, tmp_path / "runs")
    found = dense_of(store, few)
    curve = {k: list(v) for k, v in found.result.curve.items()}
    curve["validation_loss"][2] *= 1 + 2**-50
    other = replace(found.result, curve=curve)
    states = {"final": found.state("final")}
    rmtree(found.folder)
    store.write(found.run, found.record, other, as_files(states), found.provenance)
    trained.clear()
    executed(more, tmp_path / "runs")
    assert trained[found.run.id] == 40 + 10 + LENGTH
    assert "it does not come out the same here" in capsys.readouterr().err
    assert f"{found.folder.name}.2" in folders(store)
    assert store.find(found.run).result.curve == curve
    assert bits(store, more) == bits(executed(more, tmp_path / "whole"), more)


def test_a_run_that_diverged_takes_what_it_had_until_then(tmp_path, trained):
    wild = {"optimizer": {"name": "sgd", "lr": 1e4}, "evaluate": "2it"}
    few, more = (plan_of(train={**wild, **t}) for t in ({}, {"accuracy_at": ["1it", "50it"]}))
    store = executed(few, tmp_path / "runs")
    found = dense_of(store, few)
    assert found.result.status == "diverged"
    before = folders(store)
    trained.clear()
    executed(more, tmp_path / "runs")
    assert folders(store) == before
    assert sum(trained.values()) <= 1
    assert bits_of_dense(store, more) == bits_of_dense(executed(more, tmp_path / "whole"), more)


def bits_of_dense(store, plan):
    identity, run = next(iter(plan.runs.items()))
    result = store.find(run, plan.records[identity]).result
    return {k: v for k, v in vars(result).items() if k not in ("seconds", "files")}


def test_a_numbered_copy_of_an_older_winnow_is_read_and_added_to(tmp_path, trained):
    """It wrote a run again, with more, under a number: what is nearest goes on."""
    few, more = plan_of(), plan_of(train={"validation_at": ["30it"]})
    store = executed(few, tmp_path / "runs")
    copies = executed(plan_of(prune={"rewind": "20it"}), tmp_path / "copies")
    dense = dense_of(store, few)
    numbered = store.path / "runs" / f"{dense.folder.name}.2"
    copytree(copies.path / "runs" / dense.folder.name, numbered)
    trained.clear()
    executed(more, tmp_path / "runs")
    assert trained[dense.run.id] == 10  # from the state at 20 that the numbered one has
    assert len(addition_folders(numbered)) == 1
    assert addition_folders(dense.folder) == []
    assert store.find(dense.run, more.records[dense.run.id]).folder == numbered
