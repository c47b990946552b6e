"""The store: whole or absent, verified, set aside when damaged, never overwritten."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch
from sample_runs import PRUNING, RUN
from stored_runs import RESULT, put, state

from winnow.errors import UserError
from winnow.experiment.runs import Record
from winnow.experiment.store.store import Store
from winnow.files import whole_folder, write_whole
from winnow.statefile import pack_state, unpack_state


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs").open()


@pytest.mark.parametrize("slots", [True, False])
def test_a_state_survives_packing_and_only_nonzeros_are_kept(slots):
    before = state(slots=slots)
    tensors, about = pack_state(before, "now/")
    kept = before.mask.kept
    assert tensors["now/weights/a.w"].shape == (kept,)
    after = unpack_state(tensors, about, "now/")
    assert (after.step, after.updates, after.mask) == (7, 7, before.mask)
    for mine, theirs in [
        (before.weights, after.weights),
        (before.buffers, after.buffers),
        *[(before.slots[s], after.slots[s]) for s in before.slots],
    ]:
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[n], theirs[n]) for n in mine)


def test_what_is_written_is_found_exactly(store):
    assert store.find(RUN) is None
    put(store)
    found = store.find(RUN)
    assert {**vars(found.result), "files": {}} == {**vars(RESULT), "files": {}}
    assert found.run.id == RUN.id
    assert torch.equal(found.state("final").weights["a.w"], state().weights["a.w"])
    assert store.find(replace(RUN, pruning=PRUNING)) is None
    assert [f.folder.name for f in store.all()] == [RUN.folder]


def test_a_stored_superset_satisfies_and_a_smaller_record_does_not(store):
    put(store, record=Record(accuracy_at=frozenset({10, 20})))
    assert store.find(RUN, Record(accuracy_at=frozenset({10})))
    wanted = Record(accuracy_at=frozenset({10, 30}))
    assert store.find(RUN, wanted) is None
    put(store, record=wanted)  # recorded again, beside the first
    assert store.find(RUN, wanted).folder.name == f"{RUN.folder}.2"
    assert store.find(RUN).folder.name == RUN.folder


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        ("run.json", lambda text: text[: len(text) // 2]),
        ("run.json", lambda text: text.replace('"batch": 60', '"batch": 61')),
        ("result.json", lambda text: text.replace("0.91", "0.99")),
        ("result.json", lambda _: ""),
        ("final.safetensors", None),
    ],
)
def test_a_damaged_run_is_named_set_aside_and_missing(store, capsys, file, spoil):
    put(store)
    path = store.path / "runs" / RUN.folder / file
    if spoil:
        path.write_text(spoil(path.read_text()))
    else:
        path.unlink()
    assert store.find(RUN) is None
    assert RUN.folder in capsys.readouterr().err
    assert [p.name.startswith(RUN.folder) for p in (store.path / "damaged").iterdir()] == [True]
    put(store)
    assert store.find(RUN)


def test_damaged_tensors_are_noticed_when_they_are_read(store):
    put(store)
    path = store.path / "runs" / RUN.folder / "final.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"final.safetensors is damaged"):
        store.find(RUN).state("final")


def test_a_newer_store_is_refused(store):
    (store.path / "store.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="format 99, written by a newer Winnow"):
        Store(store.path).open()


def test_copies_after_a_gap_are_found_and_the_gap_is_filled(store):
    for steps in ({10}, {10, 20}, {10, 20, 30}):
        put(store, record=Record(accuracy_at=frozenset(steps)))
    shutil.rmtree(store.path / "runs" / f"{RUN.folder}.2")
    shutil.rmtree(store.path / "runs" / RUN.folder)
    assert store.find(RUN, Record(accuracy_at=frozenset({30}))).folder.name == f"{RUN.folder}.3"
    put(store)
    put(store)
    assert sorted(f.folder.name for f in store.all()) == [
        RUN.folder, f"{RUN.folder}.2", f"{RUN.folder}.3"
    ]  # fmt: skip


def test_a_store_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written: .* --store DIR"):
        Store(tmp_path / "file" / "runs").open()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_store_is_told(store):
    store.path.chmod(0o500)
    try:
        with pytest.raises(UserError, match="cannot be written"):
            Store(store.path).open()
    finally:
        store.path.chmod(0o700)


def test_a_lock_is_held_by_one_and_sweeps_what_a_killed_one_left(store):
    left = store.path / "runs" / f".{RUN.folder}.0123.tmp"
    left.mkdir()
    (left / "final.safetensors").write_bytes(b"half")
    with store.lock(RUN) as free:
        assert free
        assert not left.exists()
        with Store(store.path).lock(RUN) as second:
            assert not second
    with store.lock(RUN) as free:
        assert free


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    write_whole(tmp_path / "a", "old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a", "new")
    with pytest.raises(OSError, match="No space"), whole_folder(tmp_path / "b") as folder:
        write_whole(folder / "c", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_finished_folder_is_never_overwritten(tmp_path):
    with whole_folder(tmp_path / "b") as folder:
        (folder / "x").write_text("1")
    with pytest.raises(FileExistsError, match="not overwritten"), whole_folder(tmp_path / "b"):
        pass
    assert (tmp_path / "b" / "x").read_text() == "1"
