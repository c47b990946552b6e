"""store.json: read, mended from what is there, and never guessed over a newer store."""

from __future__ import annotations

import json

import pytest
from sample_runs import RUN
from stored_runs import put

from winnow.digest import sealed_json
from winnow.errors import UserError
from winnow.experiment.store.format import FORMAT, read_format
from winnow.experiment.store.store import Store

OLD = b'{"format": 1}\n'


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "runs").open()
    put(store)
    return store


def flips(data):
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def test_no_flipped_bit_and_no_cut_is_read(store):
    file = store.path / "store.json"
    for whole in (file.read_bytes(), OLD):
        file.write_bytes(whole)
        assert read_format(store.path).damage is None
        cuts = [whole[:length] for length in range(len(whole) - 1)]
        harmless = []
        for data in [*flips(whole), *cuts]:
            file.write_bytes(data)
            if read_format(store.path).damage is None:
                harmless.append(data)
        assert harmless in ([], [OLD[:-1]])  # without its last line break


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 3}\n', b"\0" * 14, b"[1]", None])
def test_a_damaged_one_locks_nobody_out_and_is_made_anew(store, capsys, damage):
    file, whole = store.path / "store.json", (store.path / "store.json").read_bytes()
    file.unlink() if damage is None else file.write_bytes(damage)
    reader = Store(store.path).open(write=False)
    assert reader.find(RUN)
    assert not file.exists() if damage is None else file.read_bytes() == damage
    assert "store.json" in capsys.readouterr().err
    assert Store(store.path).open().find(RUN)
    assert file.read_bytes() == whole
    assert "It is made anew" in capsys.readouterr().err
    Store(store.path).open()
    assert capsys.readouterr().err == ""


def test_one_of_before_digests_is_read_and_raised(store, capsys):
    file = store.path / "store.json"
    file.write_bytes(OLD)
    Store(store.path).open(write=False)
    assert file.read_bytes() == OLD
    Store(store.path).open()
    assert read_format(store.path) == (FORMAT, None)
    assert capsys.readouterr().err == ""


def test_a_newer_store_is_refused_and_left(store):
    for newer in (json.dumps({"format": 99}), sealed_json({"format": FORMAT + 1})):
        (store.path / "store.json").write_text(newer)
        with pytest.raises(UserError, match="written by a newer Winnow"):
            Store(store.path).open()
        assert (store.path / "store.json").read_text() == newer


def test_what_is_no_store_that_this_winnow_reads_is_refused(store, tmp_path):
    """A folder of another program, and a store of which no run can be read."""
    (tmp_path / "other").mkdir()
    (store.path / "runs" / RUN.folder / "run.json").write_text("{}")
    for place in (store.path, tmp_path / "other"):
        (place / "store.json").write_text("{")
        with pytest.raises(UserError, match=r"is .* a store"):
            Store(place).open()
        assert (place / "store.json").read_text() == "{"
