"""Winnow's networks from the tensors of others: the same outputs, or an error."""

from __future__ import annotations

import re
from pathlib import Path

import foreign_files
import pytest
import torch
from foreign_networks import VGG, Fc, ResNet, State, grown, pruned, random_masks
from torch import Tensor, nn

import winnow as wn
from winnow import models
from winnow.errors import UserError
from winnow.importing import layouts


def images(shape: tuple[int, ...] = (3, 32, 32)) -> Tensor:
    return torch.randn(5, *shape, generator=torch.Generator().manual_seed(7))


def rebuilt(ticket: wn.Ticket, path: Path, weights: str = "rewind") -> nn.Module:
    """Winnow's network from the ticket's file alone."""
    ticket.save(path)
    loaded = wn.load(path)
    model = models.build(**loaded.provenance["build"])
    loaded.apply(model, weights)
    return model.eval()


def check_equal_outputs(
    theirs: nn.Module, masks: State, ticket: wn.Ticket, folder: Path, shape: tuple[int, ...]
) -> None:
    """In eval mode, and in training mode with the running statistics that follow from it."""
    theirs.load_state_dict(pruned(theirs, masks))
    ours = rebuilt(ticket, folder / "ticket.safetensors")
    assert ticket.mask.kept == sum(int(mask.sum()) for mask in masks.values())
    x = images(shape)
    for training in (False, True, False):
        theirs.train(training), ours.train(training)
        expected = theirs(x)
        assert expected.std() > 1e-3
        torch.testing.assert_close(ours(x), expected, rtol=2e-4, atol=2e-4)


def test_a_lenet_of_open_lth_computes_the_same(tmp_path):
    model = grown(Fc([784, 30, 10, 10]))
    masks = random_masks(model)
    folder = foreign_files.open_lth(tmp_path / "run", {"ep0_it0": pruned(model, masks)}, masks)
    ticket = wn.import_ticket(folder, model="lenet-300-100")
    build = {"name": "lenet-300-100", "inputs": (1, 28, 28), "classes": 10, "hidden": [30, 10]}
    assert ticket.provenance["build"] == build
    check_equal_outputs(model, masks, ticket, tmp_path, (1, 28, 28))


def test_a_perceptron_of_synaptic_flow_computes_the_same(tmp_path):
    layers = [nn.Flatten(), nn.Linear(27, 8)]
    for _ in range(5):  # so that "11" comes after "9"
        layers += [nn.ReLU(), nn.Linear(8, 8)]
    model = grown(nn.Sequential(*layers))
    masks = random_masks(model)
    path = foreign_files.synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
    ticket = wn.import_ticket(path, model="lenet-300-100")
    assert ticket.provenance["build"]["hidden"] == [8] * 5
    check_equal_outputs(model, masks, ticket, tmp_path, (3, 3, 3))


@pytest.mark.parametrize("depth", [20, 32])
@pytest.mark.parametrize("layout", layouts())
def test_resnets_compute_the_same(tmp_path, layout, depth):
    kinds = {"grasp": layout == "grasp", "factors": layout == "synaptic-flow"}
    model = grown(ResNet(depth, 4, **kinds))
    masks = random_masks(model)
    if layout == "open_lth":
        path = foreign_files.open_lth(tmp_path / "run", {"ep0_it0": pruned(model, masks)}, masks)
    elif layout == "grasp":
        path = foreign_files.grasp(
            tmp_path / "prune_a.pth.tar", grown(ResNet(depth, 4, **kinds)), masks, -1
        )
    else:
        path = foreign_files.synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
    ticket = wn.import_ticket(path, model=f"resnet-{depth}")
    assert ticket.provenance["build"]["width"] == 0.25
    check_equal_outputs(model, masks, ticket, tmp_path, (3, 32, 32))


@pytest.mark.parametrize("layout", layouts())
def test_vggs_compute_the_same(tmp_path, layout):
    model = grown(VGG(grasp=layout == "grasp"))
    masks = random_masks(model)
    if layout == "open_lth":
        path = foreign_files.open_lth(tmp_path / "run", {"ep0_it0": pruned(model, masks)}, masks)
    elif layout == "grasp":
        path = foreign_files.grasp(tmp_path / "prune_a.pth.tar", grown(VGG(grasp=True)), masks, -1)
    else:
        path = foreign_files.synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
    ticket = wn.import_ticket(path, model="vgg-11")
    check_equal_outputs(model, masks, ticket, tmp_path, (3, 32, 32))


def test_a_pruned_convolution_bias_leaves_the_mask_with_its_bias(tmp_path):
    model = grown(VGG())
    masks = random_masks(model)
    bias = "layers.4.conv.bias"
    masks[bias] = (torch.arange(32) % 3 > 0).float()
    path = foreign_files.synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
    ticket = wn.import_ticket(path, model="vgg-11")
    model.load_state_dict(pruned(model, masks))
    del masks[bias]
    check_equal_outputs(model, masks, ticket, tmp_path, (3, 32, 32))


def test_both_weights_are_renamed(tmp_path):
    model, trained = grown(Fc([9, 6, 3])), grown(Fc([9, 6, 3]), 1)
    masks = random_masks(model)
    states = {"ep0_it0": pruned(model, masks), "ep1_it0": pruned(trained, masks)}
    folder = foreign_files.open_lth(tmp_path / "run", states, masks)
    ticket = wn.import_ticket(folder, model="lenet-300-100")
    trained.load_state_dict(states["ep1_it0"])
    x = images((1, 3, 3))
    ours = rebuilt(ticket, tmp_path / "t", "final")
    torch.testing.assert_close(ours(x), trained(x))


def test_other_networks_are_refused(tmp_path):
    model = grown(ResNet(20, 2))
    masks = random_masks(model)
    folder = foreign_files.open_lth(tmp_path / "run", {"ep0_it0": pruned(model, masks)}, masks)
    for network, told in (
        ("resnet-32", "no resnet-32: 'blocks.5.shortcut.0.weight' is missing"),
        ("vgg-11", "21 convolutions, but vgg-11 has 8"),
        ("lenet-300-100", "nothing in it is the 'hidden.0.weight' of one"),
        ("conv-2", "no layout has a network that corresponds to conv-2"),
        ("resnet-2", "Did you mean 'resnet-20'"),
    ):
        with pytest.raises(UserError, match=re.escape(told)) as error:
            wn.import_ticket(folder, model=network)
        assert str(folder) in str(error.value)
    twice = pruned(model, masks) | {"linear.weight": torch.ones(10, 8)}
    path = foreign_files.synaptic_flow(tmp_path / "twice.pt", twice, masks)
    with pytest.raises(UserError, match="two of its tensors have the same place"):
        wn.import_ticket(path, model="resnet-20")
    factors = grown(ResNet(20, 2, factors=True))
    masks = random_masks(factors) | {"blocks.0.shortcut.weight": torch.zeros(2, 1, 1)}
    path = foreign_files.synaptic_flow(tmp_path / "model.pt", factors.state_dict(), masks)
    assert "blocks.0.shortcut.weight" in wn.import_ticket(path).mask
    with pytest.raises(UserError, match="prunes an identity shortcut"):
        wn.import_ticket(path, model="resnet-20")
    long = grown(VGG()).state_dict() | {"layers.0.conv.bias": torch.ones(9)}
    masks = {n: torch.ones_like(t) for n, t in long.items() if t.dim() > 1}
    path = foreign_files.synaptic_flow(tmp_path / "long.pt", long, masks)
    with pytest.raises(UserError, match="and the norm after it differ in shape"):
        wn.import_ticket(path, model="vgg-11")
    bare = {n: t for n, t in grown(VGG()).state_dict().items() if ".bn." not in n}
    masks = {n: torch.ones_like(t) for n, t in bare.items() if t.dim() > 1}
    path = foreign_files.synaptic_flow(tmp_path / "bare.pt", bare, masks)
    with pytest.raises(UserError, match=r"'blocks.0.0.1.weight' is missing"):
        wn.import_ticket(path, model="vgg-11")
