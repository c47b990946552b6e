"""Tickets that were found elsewhere: what a recipe takes of them, and what its runs begin with."""

from __future__ import annotations

import pytest
import torch
from inline_pool import InlinePool
from sample_plans import SMALL, points_of

import winnow as wn
from winnow.data.facts import facts
from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.plan.why import explaining_plan
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.recipe.network import build_network
from winnow.experiment.store.images import find_source
from winnow.experiment.store.store import Store
from winnow.experiment.store.tickets import GivenFiles, copy_ticket
from winnow.experiment.train.executor import Settings, execute
from winnow.experiment.train.start import starting_state
from winnow.mask import Mask

TRAIN = {**SMALL["train"], "steps": "20it", "evaluate": "10it"}
BASE = {**SMALL, "train": TRAIN, "engine": "dense", "replicates": 1}


@pytest.fixture(scope="module")
def ticket():
    """A random mask over random weights, other ones at the end."""
    model = build_network(facts("digits"), check_recipe(BASE, "small").model)
    generator = torch.Generator().manual_seed(3)
    state = model.state_dict()
    rewind, final = (
        {name: torch.randn(value.shape, generator=generator) for name, value in state.items()}
        for _ in range(2)
    )
    names = [name for name in state if name.endswith("weight")]
    mask = Mask({n: torch.rand(state[n].shape, generator=generator) < 0.4 for n in names})
    return wn.Ticket(mask, rewind, final)


@pytest.fixture
def file(ticket, tmp_path):
    ticket.save(tmp_path / "ticket.safetensors", removed=True)
    return str(tmp_path / "ticket.safetensors")


def planned(file, changes=None, **given):
    recipe = {k: v for k, v in BASE.items() if k != "prune"}
    recipe |= {"ticket": {"file": str(file), **given}, **(changes or {})}
    return expand("small", check_recipe(recipe, "small"), find_source("digits"))


def begun(plan, arm, store, draw=None):
    copy_ticket(plan.recipe, store)
    points = [p for p in points_of(plan, arm, draw=draw) if p.round == 1]
    return starting_state(points[0].run, lambda _: None, GivenFiles(store))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs").open()


@pytest.mark.parametrize(("weights", "part"), [("rewound", "rewind"), ("final", "final")])
def test_a_ticket_begins_with_its_weights_under_its_mask(file, ticket, store, weights, part):
    state = begun(planned(file, weights=weights), "ticket", store)
    source = getattr(ticket, part)
    assert state.mask == ticket.mask
    for name, value in state.weights.items():
        kept = ticket.mask[name] if name in ticket.mask else torch.ones_like(value).bool()
        assert torch.equal(value, source[name] * kept)


def test_new_weights_are_those_of_the_dense_network(file, ticket, store):
    plan = planned(file, weights="new")
    dense = starting_state(points_of(plan, "ticket")[0].run, lambda _: None)
    state = begun(plan, "ticket", store)
    for name, value in state.weights.items():
        kept = ticket.mask[name] if name in ticket.mask else torch.ones_like(value).bool()
        assert torch.equal(value, dense.weights[name] * kept)


def test_controls_share_its_mask_or_its_layer_densities(file, ticket, store):
    controls = {"reinit": 1, "random": 2, "random-reinit": 1, "noise": [1.0]}
    plan = planned(file, {"controls": controls})
    own = begun(plan, "ticket", store)
    reinit, random, noisy = (begun(plan, a, store) for a in ("reinit", "random", "noise-1"))
    assert reinit.mask == noisy.mask == ticket.mask
    assert random.mask != ticket.mask
    assert random.mask.kept_per_layer == ticket.mask.kept_per_layer
    name = "hidden.0.weight"
    assert torch.equal(random.weights[name], ticket.rewind[name] * random.mask[name])
    assert not torch.equal(reinit.weights[name], own.weights[name])
    assert not torch.equal(noisy.weights[name], own.weights[name])
    assert {p.round for p in plan.nodes} == {0, 1}
    assert {round(p.density, 9) for p in plan.nodes if p.round} == {round(ticket.mask.density, 9)}


@pytest.fixture
def compact(ticket, tmp_path):
    ticket.save(tmp_path / "compact.safetensors")
    return tmp_path / "compact.safetensors"


@pytest.mark.parametrize(("weights", "part"), [("rewound", "rewind"), ("final", "final")])
def test_a_compact_ticket_begins_with_the_same_weights(compact, ticket, store, weights, part):
    state = begun(planned(compact, weights=weights), "ticket", store)
    source = getattr(ticket, part)
    for name, value in state.weights.items():
        kept = ticket.mask[name] if name in ticket.mask else torch.ones_like(value).bool()
        assert torch.equal(value, source[name] * kept)


@pytest.mark.parametrize("control", ["random", "random-order"])
@pytest.mark.parametrize("weights", ["rewound", "final"])
def test_random_masks_need_the_removed_weights(compact, control, weights):
    said = rf"for controls: {control}: .* of 'hidden\.0\.weight' are wanted.*removed=True"
    with pytest.raises(UserError, match=said):
        planned(compact, {"controls": {control: 1}}, weights=weights)
    planned(compact, {"controls": {control: 1}}, weights="new")


def test_other_controls_do_not(compact, store):
    controls = {"reinit": 1, "random-reinit": 1, "noise": [1.0], "permuted": 1, "order": 1}
    plan = planned(compact, {"controls": controls})
    for arm in ("reinit", "random-reinit", "noise-1", "permuted", "order"):
        begun(plan, arm, store)


def test_weights_that_are_known_to_be_zero_are_enough(ticket, tmp_path):
    zeroed = {n: t * ticket.mask[n] if n in ticket.mask else t for n, t in ticket.final.items()}
    wn.Ticket(ticket.mask, ticket.rewind, zeroed).save(tmp_path / "t.safetensors")
    planned(tmp_path / "t.safetensors", {"controls": {"random": 1}}, weights="final")


def test_what_explains_a_ticket_is_refused_too(compact, file):
    source = find_source("digits")
    names = {cell: cell for cell in ("reinit", "random", "random-reinit", "uniform-reinit")}
    assert explaining_plan(planned(file), source, "ticket", 1, names).runs
    with pytest.raises(UserError, match=r"for random masks beside ticket: .*removed=True"):
        explaining_plan(planned(compact), source, "ticket", 1, names)
    assert explaining_plan(planned(compact, weights="new"), source, "ticket", 1, names).runs


def test_a_layer_that_is_skipped_is_dense_and_new(file, ticket, store):
    plan = planned(file, skip=["output"])
    dense = starting_state(points_of(plan, "ticket")[0].run, lambda _: None)
    state = begun(plan, "ticket", store)
    assert set(state.mask) == {"hidden.0.weight", "hidden.1.weight"}
    assert torch.equal(state.weights["output.weight"], dense.weights["output.weight"])
    assert torch.equal(state.weights["output.bias"], dense.weights["output.bias"])
    assert torch.equal(state.weights["hidden.0.bias"], ticket.rewind["hidden.0.bias"])


def test_a_head_for_other_classes_is_refused_by_name_and_can_be_skipped(file, ticket, tmp_path):
    rewind = {**ticket.rewind, "output.weight": torch.zeros(7, 10), "output.bias": torch.zeros(7)}
    mask = Mask({**ticket.mask, "output.weight": torch.ones(7, 10, dtype=torch.bool)})
    wn.Ticket(mask, rewind).save(tmp_path / "seven.safetensors")
    other = tmp_path / "seven.safetensors"
    words = r"output\.weight is \[7, 10\] in the ticket and \[10, 10\] here"
    with pytest.raises(UserError, match=words):
        planned(other)
    assert len(planned(other, skip=["output"]).runs) == 2
    with pytest.raises(UserError, match="no final weights"):
        planned(other, skip=["output"], weights="final")
    assert planned(file).runs.keys() != planned(other, skip=["output"]).runs.keys()


def test_identity_is_that_of_the_content_not_of_the_file(file, ticket, tmp_path):
    ticket.save(tmp_path / "elsewhere.safetensors", removed=True)
    assert planned(file).runs.keys() == planned(tmp_path / "elsewhere.safetensors").runs.keys()
    changed = wn.Ticket(ticket.mask.inverted(), ticket.rewind)
    changed.save(tmp_path / "other.safetensors", removed=True)
    assert planned(file).runs.keys() != planned(tmp_path / "other.safetensors").runs.keys()


@pytest.mark.parametrize("rewind", ["init", "10it"])
def test_the_folder_of_a_run_is_a_ticket_that_trains_to_the_same_bytes(store, tmp_path, rewind):
    recipe = check_recipe({**BASE, "prune": {"rounds": 1, "rewind": rewind}}, "small")
    plan = expand("small", recipe, find_source("digits"))
    execute(plan, store, Settings(1), pool=lambda _: InlinePool(store, []))
    found = points_of(plan, "ticket")[1].run
    again = planned(store.path / "runs" / found.folder)
    other = Store(tmp_path / "other").open()
    copy_ticket(again.recipe, other)
    if rewind == "init":
        execute(again, other, Settings(1), pool=lambda _: InlinePool(other, []))
        mine = other.find(points_of(again, "ticket")[1].run)
        assert mine.result.final == store.find(found).result.final
        assert mine.state("final").mask == store.find(found).state("final").mask
    else:
        start = begun(again, "ticket", other)
        original = starting_state(found, lambda i: store.find(plan.runs[i]))
        for name, value in original.weights.items():
            assert torch.equal(start.weights[name], value)


def test_what_is_no_ticket_is_named(file, store, tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        planned(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty"):
        planned(tmp_path / "empty")
    (tmp_path / "x.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match=r"x\.safetensors"):
        planned(tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="leave these out"):
        planned(file, {"prune": {"rounds": 2}})
    plan = planned(file)
    copy_ticket(plan.recipe, store)
    for path in (store.path / "weights").glob("*.mask.safetensors"):
        path.write_bytes(b"broken")
    run = points_of(plan, "ticket")[1].run
    with pytest.raises(UserError, match="run the command again"):
        starting_state(run, lambda _: None, GivenFiles(store))
