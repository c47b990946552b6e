"""Kernels that other processes compile: the same as compiled here, or else compiled here."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
from toy_kernel import fresh_entry

from winnow.deployment.runtime.kernels import program
from winnow.engine.sparse_cpu.kernels import elementwise, groups
from winnow.kernels import cache, per_example, together
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.helper import entry_called
from winnow.kernels.together import SharedList

SOME = elementwise.ENTRIES[:2]


def taken(entries, key, **how):
    """The names of what is to be compiled here, and the files of what was elsewhere."""
    names = []
    with SharedList(entries, key, **how) as found:
        if how.get("processes", 1) > 1:
            for thread in found._threads:  # this process takes nothing before the others are done
                thread.join()
        while (entry := found.take()) is not None:
            names.append(entry.name)
    assert all(helper.returncode is not None for helper in found._helpers)
    return names, found.made


def test_every_kernel_of_every_group_is_found_by_its_module_and_name():
    listed = [groups._CHAINS[1], groups._GRAPHS[1], per_example.ENTRIES]
    for entry in [e for entries in listed for e in entries] + [
        *program.ENTRIES,
        *program.ENTRIES_INT8,
    ]:
        assert entry_called(entry.kernel.__module__, entry.name) == entry
    for module, name in (("winnow.kernels.compile", "kernel"), ("os", "path")):
        with pytest.raises(LookupError):
            entry_called(module, name)


def test_what_another_process_compiled_loads_and_works_here():
    names, made = taken(SOME, cache.key(), processes=2)
    assert names == []
    assert set(made) == {entry.name for entry in SOME}
    add = next(entry for entry in SOME if entry.name == "add_arrays")
    fresh = EntryPoint(kernel(add.kernel.py_func), add.arguments)
    data = made["add_arrays"]
    assert data[:32] == hashlib.sha256(data[32:]).digest()
    cache._install(fresh, data[32:])
    fresh.kernel.disable_compile()
    a, b, out = (np.full(64, value, np.float32) for value in (1, 2, 0))
    fresh.kernel(a, b, out, False)
    assert (out == 3).all()


def test_a_process_with_other_code_or_none_is_asked_for_nothing(monkeypatch):
    everything = [entry.name for entry in SOME]
    assert taken(SOME, "another key", processes=2) == (everything, {})
    monkeypatch.setattr(sys, "executable", "/no/python")
    assert taken(SOME, cache.key(), processes=2) == (everything, {})


def test_what_a_process_cannot_give_is_compiled_here():
    unknown = EntryPoint(kernel(_unknown), ())
    unknown.kernel.__module__ = "winnow.kernels.compile"
    names, made = taken([unknown, fresh_entry()], cache.key(), processes=2)
    assert sorted(names) == ["_unknown", "plus_one"]
    assert made == {}


def _unknown():
    return 1


def test_an_error_here_ends_the_others():
    with pytest.raises(KeyError), SharedList(SOME, "", 3) as found:
        raise KeyError
    assert len(found._helpers) == 2
    assert all(helper.returncode is not None for helper in found._helpers)


def test_one_core_or_foreign_kernels_start_no_process(monkeypatch):
    with SharedList([fresh_entry(), fresh_entry("own")], "") as found:
        assert found._helpers == []
        assert {found.take().name, found.take().name, found.take()} == {"plus_one", "own", None}
    with SharedList(groups._CHAINS[1], "") as found:
        assert found._helpers == []  # too few to pay
    monkeypatch.setattr(together, "cores", lambda: 1)
    assert taken(SOME * 8, "") == ([entry.name for entry in SOME * 8], {})


def test_a_folder_is_filled_by_both(tmp_path, monkeypatch):
    """The kernels of a group, compiled anew here as well: which process made one shows nowhere."""
    monkeypatch.setattr(together, "cores", lambda: 2)
    monkeypatch.setattr(together, "_EACH", 1)
    anew = [EntryPoint(kernel(e.kernel.py_func), e.arguments) for e in elementwise.ENTRIES]
    cache.prepare("few", anew, tmp_path)
    (folder,) = (tmp_path / "kernels").glob("few-*")
    assert sorted(p.stem for p in folder.iterdir()) == sorted(e.name for e in anew)
    again = [EntryPoint(kernel(e.kernel.py_func), e.arguments) for e in elementwise.ENTRIES]
    assert cache._load(folder, again)
    for entries in (anew, again):
        assert all(e.arguments in e.kernel.overloads for e in entries)
