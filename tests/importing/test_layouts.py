"""What each layout gives: masks, weights, provenance."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import foreign_files
import pytest
import torch
from foreign_networks import VGG, Fc, ResNet, State, grown, masked_names, pruned, random_masks
from hypothesis import given, settings
from hypothesis import strategies as st

import winnow as wn
from winnow.errors import UserError
from winnow.importing import layouts
from winnow.mask import Mask


def same(one: Any, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_level_of_open_lth(tmp_path):
    model, trained = grown(Fc([12, 6, 5, 3])), grown(Fc([12, 6, 5, 3]), 1)
    masks = random_masks(model)
    masks["fc.weight"].fill_(1)
    states = {"ep0_it0": pruned(model, masks), "ep10_it0": pruned(trained, masks)}
    folder = foreign_files.open_lth(tmp_path / "level_2" / "main", states, masks)
    ticket = wn.import_ticket(folder)
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})
    assert same(ticket.rewind, states["ep0_it0"])
    assert same(ticket.final, states["ep10_it0"])
    assert ticket.provenance["layout"] == "open_lth"
    assert ticket.provenance["source"] == str(folder)
    files = ("mask.pth", "model_ep0_it0.pth", "model_ep10_it0.pth")
    assert ticket.provenance["sha256"] == {name: digest(folder / name) for name in files}
    ticket.apply(model)
    assert same(model.state_dict(), states["ep0_it0"])
    assert wn.import_ticket(folder / "mask.pth", "open_lth").mask == ticket.mask
    one = wn.import_ticket(folder / "model_ep10_it0.pth")
    assert one.mask == ticket.mask
    assert one.final is None
    assert same(one.rewind, states["ep10_it0"])


def test_the_steps_of_open_lth_are_ordered_as_numbers(tmp_path):
    model = Fc([4, 3, 2])
    states = {step: grown(model, i).state_dict() for i, step in enumerate(["ep9_it50", "ep10_it3"])}
    states = {step: {n: t.clone() for n, t in state.items()} for step, state in states.items()}
    about = wn.import_ticket(
        foreign_files.open_lth(tmp_path / "a", states, random_masks(model))
    ).provenance
    assert (about["rewind"], about["final"]) == ("model_ep9_it50.pth", "model_ep10_it3.pth")


def test_removed_weights_come_from_level_0(tmp_path):
    model = grown(Fc([12, 6, 3]))
    masks = random_masks(model)
    dense = {n: t.clone() for n, t in model.state_dict().items()}
    ones = {name: torch.ones_like(mask) for name, mask in masks.items()}
    foreign_files.open_lth(tmp_path / "level_0" / "main", {"ep0_it9": dense}, ones)
    level = foreign_files.open_lth(
        tmp_path / "level_1" / "main", {"ep0_it9": pruned(model, masks)}, masks
    )
    ticket = wn.import_ticket(level)
    assert same(ticket.rewind, dense)
    assert "level_0/model_ep0_it9.pth" in ticket.provenance["sha256"]
    other = {n: t + 1 for n, t in dense.items()}  # of another run: not to be mixed in
    torch.save(other, tmp_path / "level_0" / "main" / "model_ep0_it9.pth")
    ticket = wn.import_ticket(level)
    assert same(ticket.rewind, pruned(model, masks))
    assert list(ticket.provenance["sha256"]) == ["mask.pth", "model_ep0_it9.pth"]


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_checkpoint_of_open_lth(tmp_path, prefix):
    model = grown(Fc([12, 6, 3]))
    masks = random_masks(model)
    state = {f"{prefix}model.{n}": t for n, t in model.state_dict().items()}
    state |= {f"{prefix}mask_{n.replace('.', '___')}": mask for n, mask in masks.items()}
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(6)}}, "param_groups": [{"lr": 0.1}]}
    content = {"ep": 3, "it": 0, "model_state_dict": state, "optimizer_state_dict": optimizer}
    torch.save({**content, "logger": "test_loss,3,0.5"}, tmp_path / "checkpoint.pth")
    ticket = wn.import_ticket(tmp_path / "checkpoint.pth")
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})
    assert same(ticket.rewind, model.state_dict())
    assert ticket.provenance["rewind"] == "epoch 3, iteration 0"


def test_a_checkpoint_of_grasp_is_read_without_its_classes(tmp_path):
    model = grown(VGG(grasp=True))
    masks = random_masks(model)
    path = foreign_files.grasp(tmp_path / "prune_a_it0.pth.tar", model, masks, -1)
    ticket = wn.import_ticket(path)
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})
    assert list(ticket.rewind) == list(model.state_dict())
    assert same(ticket.rewind, model.state_dict())
    assert ticket.final is None
    about = {"layout": "grasp", "source": str(path), "epoch": -1, "accuracy": -1}
    assert ticket.provenance == about | {"sha256": {path.name: digest(path)}}


def test_a_trained_checkpoint_of_grasp_begins_at_the_pruned_one(tmp_path):
    start, end = grown(VGG(grasp=True)), grown(VGG(grasp=True), 1)
    masks = random_masks(start)
    path = foreign_files.grasp(tmp_path / "finetune_x_it0_best.pth.tar", end, masks, 150)
    alone = wn.import_ticket(path)
    assert alone.final is None
    assert same(alone.rewind, end.state_dict())
    foreign_files.grasp(tmp_path / "prune_x_it0.pth.tar", start, masks, -1)
    ticket = wn.import_ticket(path)
    assert same(ticket.rewind, start.state_dict())
    assert same(ticket.final, end.state_dict())
    assert ticket.provenance["accuracy"] == 91.5
    foreign_files.grasp(tmp_path / "prune_x_it0.pth.tar", start, random_masks(start, seed=9), -1)
    assert wn.import_ticket(path).final is None


@pytest.mark.filterwarnings("ignore:.*source code")
def test_old_files_of_grasp_are_refused_with_the_way_out(tmp_path):
    model = grown(VGG(grasp=True))
    masks = random_masks(model)
    path = foreign_files.grasp(tmp_path / "prune_a.pth.tar", model, masks, -1, zipped=False)
    with pytest.raises(UserError, match=r"the format of torch before 1\.6") as error:
        wn.import_ticket(path)
    (code,) = re.findall(r"`(.+)`", str(error.value))
    content = {"net": model, "mask": {model.get_submodule(n[:-7]): m for n, m in masks.items()}}
    exec(code, {"old": content, "torch": torch, "path": path})
    ticket = wn.import_ticket(path)
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})
    assert same(ticket.rewind, model.state_dict())


@pytest.mark.parametrize("key", ["{}", "{}.weight", "module.{}"])
def test_grasp_as_plain_tensors(tmp_path, key):
    model = grown(Fc([12, 6, 3]))
    masks = random_masks(model)
    named = {key.format(n.removesuffix(".weight")): mask for n, mask in masks.items()}
    torch.save({"net": model.state_dict(), "mask": named, "acc": float("nan")}, tmp_path / "a")
    ticket = wn.import_ticket(tmp_path / "a")
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})
    ticket.save(tmp_path / "b")


def test_grasp_of_imagenet(tmp_path):
    model = grown(Fc([12, 6, 3]))
    masks = random_masks(model)
    state = {f"module.{n}": t for n, t in model.state_dict().items()}
    state |= {f"module.{n.removesuffix('weight')}mask": mask for n, mask in masks.items()}
    torch.save(
        {"epoch": 4, "arch": "resnet50", "state_dict": state, "best_acc1": 70.0}, tmp_path / "a"
    )
    ticket = wn.import_ticket(tmp_path / "a")
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})
    assert same(ticket.rewind, model.state_dict())


def test_a_model_of_synaptic_flow(tmp_path):
    model = grown(ResNet(20, 2, factors=True))
    masks = random_masks(model)
    dense = masks.pop("fc.weight")
    whole = foreign_files.synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
    without = {n: t for n, t in torch.load(whole).items() if n != "fc.weight_mask"}
    torch.save(without, whole)  # as a dense classifier is written
    ticket = wn.import_ticket(tmp_path)
    assert ticket.provenance["layout"] == "synaptic-flow"
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})
    assert same(ticket.rewind, model.state_dict())
    assert dense.shape == ticket.rewind["fc.weight"].shape


def test_pruned_biases_stay_in_the_mask(tmp_path):
    model = grown(Fc([12, 6, 3]))
    masks = random_masks(model) | {"fc.bias": torch.tensor([1.0, 0.0, 1.0])}
    ticket = wn.import_ticket(
        foreign_files.synaptic_flow(tmp_path / "a.pt", model.state_dict(), masks)
    )
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})


@settings(max_examples=25, deadline=None)
@given(data=st.data(), layout=st.sampled_from(layouts()))
def test_any_mask_survives(tmp_path_factory, data, layout):
    folder = tmp_path_factory.mktemp("run") / "x"
    model = grown(Fc([4, data.draw(st.integers(1, 5)), 3]))
    masks = {}
    for name in masked_names(model):
        shape = model.get_parameter(name).shape
        bits = st.lists(st.sampled_from([0.0, 1.0]), min_size=shape.numel(), max_size=shape.numel())
        masks[name] = torch.tensor(data.draw(bits)).reshape(shape)
    if layout == "open_lth":
        path = foreign_files.open_lth(folder, {"ep0_it0": pruned(model, masks)}, masks)
    elif layout == "grasp":
        dtype = data.draw(st.sampled_from([torch.bool, torch.uint8, torch.float16, torch.float64]))
        folder.mkdir()
        path = folder / "a"
        kept = {name: mask.to(dtype) for name, mask in masks.items()}
        torch.save({"net": model.state_dict(), "mask": kept}, path)
    else:
        folder.mkdir()
        path = foreign_files.synaptic_flow(folder / "model.pt", model.state_dict(), masks)
    ticket = wn.import_ticket(path)
    assert ticket.provenance["layout"] == layout
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})
    ticket.save(folder / "ticket")
    assert wn.load(folder / "ticket").mask == ticket.mask
