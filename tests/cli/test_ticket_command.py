"""``winnow ticket``: a finished run as one small file."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from command_line import folders, refused, winnow

import winnow as wn
from winnow.models import build
from winnow.report import Paths

pytestmark = pytest.mark.usefixtures("own_environment")


def about(store, name):
    return json.loads((store / "runs" / name / "run.json").read_text())["run"]


@pytest.fixture(scope="module")
def finished(recipe, own_environment, tmp_path_factory):  # noqa: ARG001
    """A store with all runs of the recipe, without a report."""
    store = tmp_path_factory.mktemp("finished") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        no_report = Paths(store, store, [])
        patch.setattr("winnow.report.write_report", lambda *_, **__: no_report)
        return store, winnow("run", recipe, "--store", store, "--jobs", 1)


@pytest.fixture
def ticket(store):
    """The folder of the ticket, not of its reinitialised control."""
    return next(n for n in folders(store) if "dense" not in n and about(store, n)["draw"] == 0)


def test_a_ticket_is_written_told_and_loaded(store, ticket, tmp_path):
    to = tmp_path / "new" / "ticket.safetensors"
    code, out, err = winnow("ticket", ticket, "--to", to, "--store", store)
    assert (code, err) == (0, "")
    loaded = wn.load(to)
    found = json.loads(winnow("show", ticket, "--store", store).out)
    accuracy = found["result"]["final"]["test"]
    lines = out.splitlines()
    assert lines[0] == f"run: {ticket}"
    assert "ticket, replicate 0, lenet-300-100, digits" in lines[1]
    assert f"test accuracy {100 * accuracy:.2f} % at the end" in lines[2]
    assert lines[3] == str(loaded)
    assert lines[4] == f"ticket: {to} ({to.stat().st_size / 1000:.1f} KB)"
    assert loaded.provenance["run"] == found["id"]
    assert not loaded.removed_known
    model = build(**loaded.provenance["build"])
    mask = loaded.apply(model, weights="final")
    kept = {n: int((p != 0).sum()) for n, p in model.named_parameters() if n in mask}
    assert kept == mask.kept_per_layer


def test_what_is_asked_for_is_in_it(store, ticket, tmp_path):
    sizes = {}
    for name, options in {
        "usual": [],
        "half": ["--half"],
        "removed": ["--removed"],
        "final": ["--weights", "final"],
        "rewind": ["--weights", "rewind"],
    }.items():
        assert winnow("ticket", ticket, "--to", tmp_path / name, "--store", store, *options)[0] == 0
        sizes[name] = (tmp_path / name).stat().st_size
    assert sizes["half"] < sizes["usual"] < sizes["removed"]
    assert max(sizes["final"], sizes["rewind"]) < sizes["usual"]
    assert wn.load(tmp_path / "removed").removed_known
    assert wn.load(tmp_path / "rewind").final is None
    usual, final = wn.load(tmp_path / "usual"), wn.load(tmp_path / "final")
    assert all(torch.equal(final.rewind[n], usual.final[n]) for n in usual.final)


def test_a_run_is_named_as_show_names_it_or_by_its_folder(store, ticket, tmp_path):
    identity = json.loads(winnow("show", ticket, "--store", store).out)["id"]
    elsewhere = tmp_path / "elsewhere" / ticket
    shutil.copytree(store / "runs" / ticket, elsewhere)
    for number, name in enumerate(
        (ticket[:-3], identity[:9], store / "runs" / ticket, f"{store / 'runs' / ticket}/")
    ):
        assert winnow("ticket", name, "--to", tmp_path / str(number), "--store", store)[0] == 0
        assert wn.load(tmp_path / str(number)).provenance["run"] == identity
    assert winnow("ticket", elsewhere, "--to", tmp_path / "5", "--store", tmp_path / "no")[0] == 0
    assert wn.load(tmp_path / "5").mask == wn.load(tmp_path / "0").mask


def test_a_name_that_could_be_several_runs_lists_them(recipe, store, ticket, tmp_path):
    other = next(n for n in folders(store) if "dense" not in n and n != ticket)
    shared = ticket.rsplit("-", 1)[0]
    for name in (recipe, shared):
        answer = winnow("ticket", name, "--to", tmp_path / "t", "--store", store)
        refused(answer, "could be any of 2 runs with a mask")
        first, second = answer.err.splitlines()[1:]
        assert first.startswith(f"  {ticket}  {recipe}, ticket, density ")
        assert first.endswith("replicate 0")
        assert second.startswith(f"  {other}  {recipe}, reinit, density ")
        assert second.endswith("replicate 0, draw 1")
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_with_one_ticket_is_enough(recipe, store, ticket, tmp_path):
    for part in ("runs", "experiments"):
        shutil.copytree(store / part, tmp_path / "store" / part)
    for name in folders(store):
        if "dense" not in name and name != ticket:
            shutil.rmtree(tmp_path / "store" / "runs" / name)
    to = tmp_path / "t"
    assert winnow("ticket", recipe, "--to", to, "--store", tmp_path / "store")[0] == 0
    assert wn.load(to).provenance["run"].startswith(ticket[-12:])


def test_what_has_no_ticket_is_refused(recipe, store, tmp_path):
    dense = next(n for n in folders(store) if "dense" in n)
    to = ["--to", tmp_path / "t", "--store", store]
    refused(winnow("ticket", dense, *to), f"{dense} has no mask")
    refused(winnow("ticket", store / "runs" / dense, *to), f"{dense} has no mask")
    refused(winnow("ticket", f"{dense[:-3]}zzz", *to), "unknown run", "Did you mean", "winnow ls")
    refused(winnow("ticket", "lth/1", *to), "no run of lth/1 that has a mask", "winnow run lth/1")
    nowhere = ["--to", tmp_path / "t", "--store", tmp_path / "none"]
    refused(winnow("ticket", recipe, *nowhere), "is finished in", "winnow run")
    refused(winnow("ticket", dense, *to, "--weights", "all"), "has no mask")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    refused(winnow("ticket", tmp_path / "broken", *to), "broken is no folder of a stored run")
    assert not (tmp_path / "t").exists()


def test_no_file_is_overwritten(store, ticket, tmp_path):
    (tmp_path / "mine").write_text("mine")
    to = tmp_path / "mine"
    refused(winnow("ticket", ticket, "--to", to, "--store", store), f"{to} is there already")
    assert to.read_text() == "mine"
    answer = winnow("ticket", ticket, "--to", tmp_path, "--store", store)
    refused(answer, f"{tmp_path} is a folder: name a file")
    answer = winnow("ticket", ticket, "--to", tmp_path / "t", "--store", store, "--weights", "all")
    refused(answer, "unknown weights 'all'", "both, rewind, final")
