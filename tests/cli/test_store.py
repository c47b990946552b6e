"""``winnow ls`` and ``winnow show``."""

from __future__ import annotations

import json

import pytest
from command_line import folders, refused, winnow

pytestmark = pytest.mark.usefixtures("own_environment")


def test_ls_prints_one_run_on_a_line_folder_first(store, monkeypatch):
    code, out, err = winnow("ls", "--store", store)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == folders(store)
    assert err == f"3 runs in {store}\n"
    monkeypatch.setenv("WINNOW_STORE", str(store))
    assert winnow("ls").out == out


def test_ls_of_no_store_is_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert winnow("ls") == (0, "", "0 runs in runs, which is not there yet\n")
    assert list(tmp_path.iterdir()) == []


def test_show_takes_a_beginning_a_hash_or_a_path(store):
    name = next(n for n in folders(store) if "dense" in n)
    code, out, err = winnow("show", name, "--store", store)
    assert (code, err) == (0, "")
    shown = json.loads(out)
    assert shown["id"][:12] == name[-12:]
    assert shown["provenance"]["recipe"]["train"]["steps"] == "20it"
    for other in (name[:-3], shown["id"][:9], store / "runs" / name, f"{store / 'runs' / name}/"):
        assert winnow("show", other, "--store", store).out == out


def test_show_takes_the_exact_name_of_a_run_that_stands_twice(store, tmp_path):
    name = folders(store)[0]
    for copy in (name, f"{name}.2"):
        (tmp_path / "runs" / copy).mkdir(parents=True)
        for file in (store / "runs" / name).iterdir():
            (tmp_path / "runs" / copy / file.name).write_bytes(file.read_bytes())
    exact = json.loads(winnow("show", name, "--store", tmp_path).out)
    assert exact["folder"] == str(tmp_path / "runs" / name)
    refused(winnow("show", name[:-1], "--store", tmp_path), "2 runs begin with", f"{name}.2")


def test_show_two_runs_is_their_difference(store):
    ticket, reinit = sorted(
        (n for n in folders(store) if "dense" not in n),
        key=lambda n: json.loads((store / "runs" / n / "run.json").read_text())["run"]["draw"],
    )
    code, out, _ = winnow("show", ticket, reinit, "--store", store)
    assert code == 0
    assert out.splitlines() == [f"- {ticket}", f"+ {reinit}", "run.draw: 0 -> 1"]
    assert "no difference" in winnow("show", ticket, ticket, "--store", store).out
    refused(winnow("show", ticket, ticket, ticket, "--store", store), "3 are given")
    refused(winnow("show", f"{ticket[:-4]}zzzz", "--store", store), "Did you mean", "winnow ls")
