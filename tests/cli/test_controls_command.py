"""The controls of tickets, run from the command line on digits, state by state."""

from __future__ import annotations

import csv
import itertools
import shutil

import pytest
import torch
import yaml
from command_line import winnow

from winnow.experiment.store.store import Store
from winnow.experiment.train.job import initial_network
from winnow.experiment.train.start import starting_state

SMALL = {
    "title": "controls",
    "data": {"name": "digits", "validation": 100},
    "model": {"name": "lenet-300-100", "hidden": [20, 12]},
    "train": {
        "steps": "40it",
        "batch": 50,
        "optimizer": {"name": "momentum", "lr": 0.05},
        "evaluate": "20it",
        "validation_at": ["30it"],
        "test_curve": True,
    },
    "prune": {"rounds": 1, "rate": 0.5},
    "controls": {
        "order": 2,
        "reinit-masked": 1,
        "permuted": 1,
        "noise": [0, 1],
        "at-init": True,
        "random": 3,
    },
    "replicates": 1,
    "engine": "dense",
}


@pytest.fixture(scope="module", params=["init", "10it"])
def store(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("controls")
    recipe = {**SMALL, "prune": {**SMALL["prune"], "rewind": request.param}}
    (folder / "small.yaml").write_text(yaml.safe_dump(recipe))
    done = winnow("run", folder / "small.yaml", "--store", folder / "runs", "--jobs", 1)
    assert done.code == 0, done.err
    return folder / "runs"


@pytest.fixture(scope="module")
def rows(store):
    (path,) = store.parent.rglob("rows.csv")
    return {
        (row["arm"], row["draw"]): row
        for row in csv.DictReader(path.read_text().splitlines())
        if row["round"] == "1"
    }


@pytest.fixture(scope="module")
def found(store, rows):
    """(arm, draw) → the stored run of round 1."""
    stored = {one.folder.name: one for one in Store(store).all()}
    return {place: stored[row["run"]] for place, row in rows.items()}


@pytest.fixture(scope="module")
def starts(store, found):
    """(arm, draw) → the state that the run begins in."""
    stored = {one.run.id: one for one in Store(store).all()}
    return {place: starting_state(one.run, stored.__getitem__) for place, one in found.items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_every_control_is_trained_and_has_its_rows(rows):
    draws = {"ticket": [0], "random": [1, 2, 3], "order": [1, 2], "reinit-masked": [1]}
    draws |= {"permuted": [1], "at-init": [1], "noise-0": [1], "noise-1": [1]}
    assert set(rows) == {(arm, str(draw)) for arm, of in draws.items() for draw in of}
    assert {row["status"] for row in rows.values()} == {"done"}
    assert len({row["density"] for row in rows.values()}) == 1
    for row in rows.values():
        assert 0 <= float(row["validation_accuracy_at_30"]) <= 1
        assert float(row["final_test_loss"]) > 0


def test_without_noise_the_run_is_the_ticket_and_with_it_another(found):
    ticket, none, one = (
        found[place].state("final").weights
        for place in (("ticket", "0"), ("noise-0", "1"), ("noise-1", "1"))
    )
    assert same(none, ticket)
    assert not same(one, ticket)


def test_other_orders_begin_as_the_ticket_and_see_other_batches(found, starts):
    ticket = starts["ticket", "0"]
    ends = [found["ticket", "0"].state("final").weights]
    for draw in "12":
        start = starts["order", draw]
        assert same(start.weights, ticket.weights)
        assert same(start.mask, ticket.mask)
        ends.append(found["order", draw].state("final").weights)
    assert not any(same(a, b) for a, b in itertools.combinations(ends, 2))


def test_weights_from_the_ticket_s_own(starts):
    ticket = starts["ticket", "0"]
    anew, permuted = starts["reinit-masked", "1"], starts["permuted", "1"]
    for name, keep in ticket.mask.items():
        own = ticket.weights[name][keep]
        assert torch.isin(anew.weights[name][keep], own).all()
        assert torch.equal(permuted.weights[name][keep].sort().values, own.sort().values)
        assert not torch.equal(permuted.weights[name], ticket.weights[name])
        assert not anew.weights[name][~keep].any()


def test_pruned_at_initialisation_keeps_the_largest_initial_weights(found, starts):
    early, ticket = starts["at-init", "1"], starts["ticket", "0"]
    first = dict(initial_network(found["ticket", "0"].run).named_parameters())
    for name, keep in early.mask.items():
        size = first[name].abs().detach()
        assert int(keep.sum()) == int(ticket.mask[name].sum())
        assert size[keep].min() >= size[~keep].max()
        assert torch.equal(early.weights[name][keep], first[name].detach()[keep])


@pytest.mark.slow
def test_what_is_lost_is_made_again_in_the_same_bits(store, found):
    """Controls go through the store as runs do: removed, they come back as they were."""
    for place in (("noise-1", "1"), ("order", "1"), ("reinit-masked", "1")):
        folder = found[place].folder
        before = (folder / "final.safetensors").read_bytes()
        shutil.rmtree(folder)
        done = winnow("run", store.parent / "small.yaml", "--store", store, "--jobs", 1)
        assert done.code == 0, done.err
        assert (folder / "final.safetensors").read_bytes() == before
