"""Stored runs as tickets: what they were trained from, where they are from, what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from inline_pool import InlinePool
from sample_plans import SMALL, points_of

import winnow as wn
from winnow.errors import UserError
from winnow.experiment.expected import write_experiment
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.store.images import find_source
from winnow.experiment.store.run_tickets import ticket_of_run
from winnow.experiment.store.store import Store
from winnow.experiment.store.tickets import GivenFiles, copy_ticket
from winnow.experiment.train.executor import Settings, execute
from winnow.experiment.train.start import starting_state
from winnow.models import build

TRAIN = {**SMALL["train"], "steps": "20it", "evaluate": "10it"}
BASE = {**SMALL, "train": TRAIN, "engine": "dense", "replicates": 1}
ABOUT = {"recipe_name": "small", "winnow": "1.2.3"}


def trained(store, changes):
    recipe = {key: value for key, value in {**BASE, **changes}.items() if value is not None}
    plan = expand("small", check_recipe(recipe, "small"), find_source("digits"))
    copy_ticket(plan.recipe, store)
    execute(plan, store, Settings(1, about=ABOUT), pool=lambda _: InlinePool(store, []))
    return plan


def folder_of(store, plan, arm, round_=1):
    run = next(n.run for n in points_of(plan, arm) if n.round == round_)
    return store.path / "runs" / run.folder


def start_of(store, folder):
    """The masked weights that a run began with, as those who train make them."""
    found = {one.run.id: one for one in store.all()}
    run = next(one.run for one in found.values() if one.folder == folder)
    return starting_state(run, found.__getitem__, GivenFiles(store))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("stored") / "runs").open()


@pytest.fixture(scope="module")
def plan(store):
    controls = {"reinit": 1, "random": 1, "noise": [1.0], "permuted": 1, "one-shot": "rounds"}
    made = trained(store, {"prune": {"rounds": 2, "rate": 0.5}, "controls": controls})
    write_experiment(made.experiment(), store.path)
    return made


@pytest.mark.parametrize("arm", ["ticket", "reinit", "random", "one-shot"])
def test_it_has_what_the_run_was_trained_from_and_what_came_out(store, plan, arm):
    folder = folder_of(store, plan, arm, 2)
    ticket, begun = ticket_of_run(folder), start_of(store, folder)
    ended = next(one for one in store.all() if one.folder == folder).state("final")
    assert ticket.mask == ended.mask == begun.mask
    assert ticket.removed_known
    model = build(**ticket.provenance["build"])
    ticket.apply(model)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, begun.weights[name])
    ticket.apply(model, weights="final")
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, ended.weights[name])


def test_weights_are_both_or_one_of_them(store, plan):
    folder = folder_of(store, plan, "ticket")
    both, rewind, final = (ticket_of_run(folder, w) for w in ("both", "rewind", "final"))
    assert rewind.final is None
    name = "hidden.0.weight"
    assert torch.equal(rewind.rewind[name], both.rewind[name])
    assert torch.equal(final.rewind[name], both.final[name])
    assert torch.equal(final.final[name], both.final[name])
    assert [t.provenance["weights"] for t in (both, rewind, final)] == ["both", "rewind", "final"]
    with pytest.raises(UserError, match=r"unknown weights 'fnal'.*'final'.*both, rewind, final"):
        ticket_of_run(folder, "fnal")


def test_where_it_is_from(store, plan):
    ticket = ticket_of_run(folder_of(store, plan, "ticket", 2))
    about = dict(ticket.provenance)
    run = next(n.run for n in points_of(plan, "ticket") if n.round == 2)
    point = next(n for n in points_of(plan, "ticket") if n.round == 2)
    assert about["run"] == run.id
    assert about["accuracy"] == dict(store.find(run).result.final)
    assert {k: about[k] for k in ("recipe", "arm", "round", "replicate")} == {
        "recipe": "small", "arm": "ticket", "round": 2, "replicate": 0,
    }  # fmt: skip
    assert (about["network"], about["dataset"]) == ("lenet-300-100", "digits")
    assert (about["method"], about["engine"]) == ("magnitude", "dense")
    assert (about["winnow"], about["steps"], about["status"]) == ("1.2.3", 20, "done")
    assert about["density"] == pytest.approx(point.density)
    assert about["density_total"] == pytest.approx(point.density_total)
    hidden = {"inputs": [1, 8, 8], "classes": 10, "hidden": [20, 10]}
    assert about["build"] == {"name": "lenet-300-100", **hidden}


def test_a_run_whose_experiment_is_not_there_has_the_rest(store, plan, tmp_path):
    folder = folder_of(store, plan, "ticket")
    shutil.copytree(folder, tmp_path / "runs" / folder.name)
    about = ticket_of_run(tmp_path / "runs" / folder.name).provenance
    assert about["recipe"] == "small"
    assert "arm" not in about


@pytest.mark.parametrize("rewind", ["10it", "none", "lr"])
def test_other_starts_are_found_beside_it(store, rewind):
    prune = {"rounds": 2, "rate": 0.5, "rewind": rewind}
    if rewind == "lr":
        prune["fine_tune"] = "10it"
    made = trained(store, {"prune": prune})
    arm = "continued" if rewind == "none" else "ticket"
    folder = folder_of(store, made, arm, 2)
    ticket, begun = ticket_of_run(folder), start_of(store, folder)
    for name, value in begun.weights.items():
        kept = ticket.mask[name] if name in ticket.mask else torch.ones_like(value).bool()
        assert torch.equal(ticket.rewind[name] * kept, value)


def test_without_its_parent_only_final_weights_are_there(store, tmp_path):
    made = trained(store, {"prune": {"rounds": 1, "rewind": "10it"}})
    folder = folder_of(store, made, "ticket")
    alone = tmp_path / "runs" / folder.name
    shutil.copytree(folder, alone)
    with pytest.raises(UserError, match=r"not beside it: .*weights: final"):
        ticket_of_run(alone)
    assert ticket_of_run(alone, "final").final is not None
    other = next(n.run for n in points_of(made, "ticket") if n.round == 0)
    shutil.copytree(store.path / "runs" / other.folder, alone.parent / other.folder)
    assert ticket_of_run(alone).removed_known


@pytest.mark.parametrize(("arm", "how"), [("noise-1", "noise"), ("permuted", "permuted")])
def test_weights_that_were_changed_first_are_not_told_as_the_start(store, plan, arm, how):
    folder = folder_of(store, plan, arm)
    with pytest.raises(UserError, match=rf"changed first \({how}\).*weights: final"):
        ticket_of_run(folder)
    assert ticket_of_run(folder, "final").final is not None


@pytest.mark.parametrize("removed", [True, False])
def test_a_run_of_a_ticket_from_a_file(store, plan, tmp_path, removed):
    given = ticket_of_run(folder_of(store, plan, "ticket"))
    given.save(tmp_path / "t.safetensors", removed=removed)
    recipe = {"prune": None, "ticket": {"file": str(tmp_path / "t.safetensors")}}
    folder = folder_of(store, trained(store, recipe), "ticket")
    ticket = ticket_of_run(folder)
    assert ticket.removed_known == removed
    assert ticket.mask == given.mask
    for name, value in start_of(store, folder).weights.items():
        kept = ticket.mask[name] if name in ticket.mask else torch.ones_like(value).bool()
        assert torch.equal(ticket.rewind[name] * kept, value)
    for path in (store.path / "weights").glob("*"):
        path.unlink()
    with pytest.raises(UserError, match="not beside it"):
        ticket_of_run(folder)


def test_what_is_no_ticket_is_named(store, plan, tmp_path):
    with pytest.raises(UserError, match="has no mask: it is a dense network"):
        ticket_of_run(folder_of(store, plan, "ticket", 0))
    with pytest.raises(UserError, match=f"{tmp_path} is no folder of a stored run"):
        ticket_of_run(tmp_path)
    folder = folder_of(store, plan, "ticket")
    shutil.copytree(folder, tmp_path / folder.name)
    data = bytearray((folder / "final.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / folder.name / "final.safetensors").write_bytes(data)
    with pytest.raises(UserError, match=r"final\.safetensors is damaged"):
        ticket_of_run(tmp_path / folder.name)


def test_its_file_comes_back(store, plan, tmp_path):
    ticket = ticket_of_run(folder_of(store, plan, "ticket"))
    ticket.save(tmp_path / "t")
    loaded = wn.load(tmp_path / "t")
    assert loaded.provenance == ticket.provenance
    again = replace(loaded, digest=None)
    again.save(tmp_path / "again")
    assert wn.load(tmp_path / "again").digest == loaded.digest
