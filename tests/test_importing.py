"""Tickets from files of open_lth, GraSP and Synaptic-Flow, written here in their layouts."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import winnow as wn
from winnow import models
from winnow.cli import main
from winnow.errors import UserError
from winnow.importing import layouts
from winnow.mask import Mask

State = dict[str, Tensor]


# ---- the networks of the three projects, with their parameter names


class Fc(nn.Module):
    """open_lth's LeNet."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        pairs = itertools.pairwise(sizes[:-1])
        self.fc_layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.fc = nn.Linear(*sizes[-2:])

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.fc_layers:
            x = F.relu(layer(x))
        return self.fc(x)


class Factor(nn.Module):
    """Synaptic-Flow's identity shortcut: one fixed factor for each filter."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(filters, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class BasicBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int, grasp: bool, factors: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = Factor(before) if factors else nn.Sequential()
        self.downsample = self.bn3 = None
        if stride != 1:
            conv = nn.Conv2d(before, after, 1, stride=stride, bias=False)
            if grasp:
                self.downsample, self.bn3 = nn.Sequential(conv), nn.BatchNorm2d(after)
            else:
                self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        side = self.bn3(self.downsample(x)) if self.bn3 and self.downsample else self.shortcut(x)
        return F.relu(y + side)


class ResNet(nn.Module):
    def __init__(self, depth: int, width: int, grasp: bool = False, factors: bool = False) -> None:
        super().__init__()
        count = (depth - 2) // 6
        first = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.add_module("conv1" if grasp else "conv", first)
        self.bn = nn.BatchNorm2d(width)
        stages, before = [], width
        for stage in range(3):
            blocks = []
            for index in range(count):
                stride = 2 if stage and not index else 1
                blocks.append(BasicBlock(before, width * 2**stage, stride, grasp, factors))
                before = width * 2**stage
            stages.append(blocks)
        if grasp:
            for stage, blocks in enumerate(stages, 1):
                self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        else:
            self.blocks = nn.Sequential(*(block for stage in stages for block in stage))
        self.add_module("linear" if grasp else "fc", nn.Linear(before, 10))

    def forward(self, x: Tensor) -> Tensor:
        *layers, output = (module for name, module in self.named_children() if name != "bn")
        x = layers[0](x)
        x = F.relu(self.bn(x))
        for layer in layers[1:]:
            x = layer(x)
        return output(F.avg_pool2d(x, x.shape[3]).flatten(1))


PLAN_11 = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512)


class ConvModule(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1)  # with a bias
        self.bn = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class VGG(nn.Module):
    """VGG-11 with an eighth of the filters, so that tests are quick."""

    def __init__(self, grasp: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for filters in (filters // 8 for filters in PLAN_11):
            if not filters:
                layers.append(nn.MaxPool2d(2, 2))
            elif grasp:
                conv = nn.Conv2d(before, filters, 3, padding=1, bias=False)
                layers += [conv, nn.BatchNorm2d(filters), nn.ReLU(inplace=True)]
            else:
                layers.append(ConvModule(before, filters))
            before = filters or before
        self.add_module("feature" if grasp else "layers", nn.Sequential(*layers))
        self.add_module("classifier" if grasp else "fc", nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        layers, output = self.children()
        return output(F.avg_pool2d(layers(x), 2).flatten(1))


def grown(model: nn.Module, seed: int = 0) -> nn.Module:
    """With every parameter and statistic away from its default; factors of identities stay 1."""
    draw = torch.Generator().manual_seed(seed)
    fixed = {f"{n}.weight" for n, m in model.named_modules() if isinstance(m, Factor)}
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name in fixed or not tensor.is_floating_point():
                continue
            if tensor.dim() > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=draw)
            else:
                tensor.uniform_(0.5, 1.5, generator=draw)
    return model.eval()


def masked_names(model: nn.Module) -> list[str]:
    kinds = nn.Linear | nn.Conv2d
    return [f"{name}.weight" for name, m in model.named_modules() if isinstance(m, kinds)]


def random_masks(model: nn.Module, density: float = 0.4, seed: int = 1) -> State:
    draw = torch.Generator().manual_seed(seed)
    shapes = {name: model.get_parameter(name).shape for name in masked_names(model)}
    return {n: (torch.rand(s, generator=draw) < density).float() for n, s in shapes.items()}


def pruned(model: nn.Module, masks: State) -> State:
    return {n: t * masks[n] if n in masks else t.clone() for n, t in model.state_dict().items()}


# ---- the files of the three projects


def open_lth(folder: Path, states: dict[str, State], masks: State) -> Path:
    folder.mkdir(parents=True)
    torch.save({name: mask.int() for name, mask in masks.items()}, folder / "mask.pth")
    counts = {
        "total": float(sum(mask.numel() for mask in masks.values())),
        "unpruned": float(sum(mask.sum() for mask in masks.values())),
    }
    (folder / "sparsity_report.json").write_text(json.dumps(counts, indent=4))
    for step, state in states.items():
        torch.save(state, folder / f"model_{step}.pth")
    return folder


def synaptic_flow(path: Path, state: State, masks: State) -> Path:
    """Every parameter has a mask, those of biases, norms and shortcuts ones."""
    whole = {}
    for name, tensor in state.items():
        whole[name] = tensor
        if name.endswith((".weight", ".bias")):
            whole[f"{name}_mask"] = masks.get(name, torch.ones_like(tensor))
    torch.save(whole, path)
    return path


class ModelBase:
    """What GraSP's forward hooks belong to: the pickle of a network holds it."""

    def __init__(self, model: nn.Module, masks: dict[nn.Module, Tensor]) -> None:
        self.model, self.masks = model, masks
        for module in masks:
            module.register_forward_pre_hook(self._forward_pre_hooks)

    def _forward_pre_hooks(self, *given: object) -> None:  # noqa: ARG002
        raise AssertionError("not to be run")


class EasyDict(dict[str, Any]):
    def __init__(self, **entries: Any) -> None:
        super().__init__(entries)
        self.__dict__.update(entries)


PUBLISHED = {
    "models.base.vgg": [VGG],
    "models.base.resnet": [ResNet, BasicBlock],
    "models.model_base": [ModelBase],
    "easydict": [EasyDict],
}


@pytest.fixture
def as_published() -> Callable[..., Path]:
    """Writes GraSP's checkpoints: pickles whose classes carry the names that they have there."""

    def write(path: Path, model: nn.Module, masks: State, epoch: int, zipped: bool = True) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            for module, classes in PUBLISHED.items():
                made = types.ModuleType(module)
                for kind in classes:
                    setattr(made, kind.__name__, kind)
                    patch.setattr(kind, "__module__", module)
                patch.setitem(sys.modules, module, made)
            by_module = {
                model.get_submodule(n.removesuffix(".weight")): m for n, m in masks.items()
            }
            ModelBase(model, by_module)
            content = {
                "net": model,
                "acc": 91.5 if epoch >= 0 else -1,
                "epoch": epoch,
                "args": EasyDict(network="vgg", depth=11, exp_name="GraSP"),
                "mask": by_module,
                "ratio": {**dict.fromkeys(by_module, 40.0), "ratio": 40.0},
            }
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
        return path

    return write


def images(shape: tuple[int, ...] = (3, 32, 32)) -> Tensor:
    return torch.randn(5, *shape, generator=torch.Generator().manual_seed(7))


def same(one: Any, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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


# ---- open_lth


def test_a_level_of_open_lth(tmp_path):
    model, trained = grown(Fc([12, 6, 5, 3])), grown(Fc([12, 6, 5, 3]), 1)
    masks = random_masks(model)
    masks["fc.weight"].fill_(1)
    states = {"ep0_it0": pruned(model, masks), "ep10_it0": pruned(trained, masks)}
    folder = open_lth(tmp_path / "level_2" / "main", states, masks)
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
    about = wn.import_ticket(open_lth(tmp_path / "a", states, random_masks(model))).provenance
    assert (about["rewind"], about["final"]) == ("model_ep9_it50.pth", "model_ep10_it3.pth")


def test_removed_weights_come_from_level_0(tmp_path):
    model = grown(Fc([12, 6, 3]))
    masks = random_masks(model)
    dense = {n: t.clone() for n, t in model.state_dict().items()}
    ones = {name: torch.ones_like(mask) for name, mask in masks.items()}
    open_lth(tmp_path / "level_0" / "main", {"ep0_it9": dense}, ones)
    level = open_lth(tmp_path / "level_1" / "main", {"ep0_it9": pruned(model, masks)}, masks)
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


# ---- GraSP


def test_a_checkpoint_of_grasp_is_read_without_its_classes(tmp_path, as_published):
    model = grown(VGG(grasp=True))
    masks = random_masks(model)
    path = as_published(tmp_path / "prune_a_it0.pth.tar", model, masks, -1)
    ticket = wn.import_ticket(path)
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})
    assert list(ticket.rewind) == list(model.state_dict())
    assert same(ticket.rewind, model.state_dict())
    assert ticket.final is None
    about = {"layout": "grasp", "source": str(path), "epoch": -1, "accuracy": -1}
    assert ticket.provenance == about | {"sha256": {path.name: digest(path)}}


def test_a_trained_checkpoint_of_grasp_begins_at_the_pruned_one(tmp_path, as_published):
    start, end = grown(VGG(grasp=True)), grown(VGG(grasp=True), 1)
    masks = random_masks(start)
    path = as_published(tmp_path / "finetune_x_it0_best.pth.tar", end, masks, 150)
    alone = wn.import_ticket(path)
    assert alone.final is None
    assert same(alone.rewind, end.state_dict())
    as_published(tmp_path / "prune_x_it0.pth.tar", start, masks, -1)
    ticket = wn.import_ticket(path)
    assert same(ticket.rewind, start.state_dict())
    assert same(ticket.final, end.state_dict())
    assert ticket.provenance["accuracy"] == 91.5
    as_published(tmp_path / "prune_x_it0.pth.tar", start, random_masks(start, seed=9), -1)
    assert wn.import_ticket(path).final is None


@pytest.mark.filterwarnings("ignore:.*source code")
def test_old_files_of_grasp_are_refused_with_the_way_out(tmp_path, as_published):
    model = grown(VGG(grasp=True))
    masks = random_masks(model)
    path = as_published(tmp_path / "prune_a.pth.tar", model, masks, -1, zipped=False)
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


# ---- Synaptic-Flow


def test_a_model_of_synaptic_flow(tmp_path):
    model = grown(ResNet(20, 2, factors=True))
    masks = random_masks(model)
    dense = masks.pop("fc.weight")
    whole = synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
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
    ticket = wn.import_ticket(synaptic_flow(tmp_path / "a.pt", model.state_dict(), masks))
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})


# ---- Winnow's networks


def test_a_lenet_of_open_lth_computes_the_same(tmp_path):
    model = grown(Fc([784, 30, 10, 10]))
    masks = random_masks(model)
    folder = open_lth(tmp_path / "run", {"ep0_it0": pruned(model, masks)}, masks)
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
    path = synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
    ticket = wn.import_ticket(path, model="lenet-300-100")
    assert ticket.provenance["build"]["hidden"] == [8] * 5
    check_equal_outputs(model, masks, ticket, tmp_path, (3, 3, 3))


@pytest.mark.parametrize("depth", [20, 32])
@pytest.mark.parametrize("layout", layouts())
def test_resnets_compute_the_same(tmp_path, as_published, layout, depth):
    kinds = {"grasp": layout == "grasp", "factors": layout == "synaptic-flow"}
    model = grown(ResNet(depth, 4, **kinds))
    masks = random_masks(model)
    if layout == "open_lth":
        path = open_lth(tmp_path / "run", {"ep0_it0": pruned(model, masks)}, masks)
    elif layout == "grasp":
        path = as_published(
            tmp_path / "prune_a.pth.tar", grown(ResNet(depth, 4, **kinds)), masks, -1
        )
    else:
        path = synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
    ticket = wn.import_ticket(path, model=f"resnet-{depth}")
    assert ticket.provenance["build"]["width"] == 0.25
    check_equal_outputs(model, masks, ticket, tmp_path, (3, 32, 32))


@pytest.mark.parametrize("layout", layouts())
def test_vggs_compute_the_same(tmp_path, as_published, layout):
    model = grown(VGG(grasp=layout == "grasp"))
    masks = random_masks(model)
    if layout == "open_lth":
        path = open_lth(tmp_path / "run", {"ep0_it0": pruned(model, masks)}, masks)
    elif layout == "grasp":
        path = as_published(tmp_path / "prune_a.pth.tar", grown(VGG(grasp=True)), masks, -1)
    else:
        path = synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
    ticket = wn.import_ticket(path, model="vgg-11")
    check_equal_outputs(model, masks, ticket, tmp_path, (3, 32, 32))


def test_a_pruned_convolution_bias_leaves_the_mask_with_its_bias(tmp_path):
    model = grown(VGG())
    masks = random_masks(model)
    bias = "layers.4.conv.bias"
    masks[bias] = (torch.arange(32) % 3 > 0).float()
    path = synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
    ticket = wn.import_ticket(path, model="vgg-11")
    model.load_state_dict(pruned(model, masks))
    del masks[bias]
    check_equal_outputs(model, masks, ticket, tmp_path, (3, 32, 32))


def test_both_weights_are_renamed(tmp_path):
    model, trained = grown(Fc([9, 6, 3])), grown(Fc([9, 6, 3]), 1)
    masks = random_masks(model)
    states = {"ep0_it0": pruned(model, masks), "ep1_it0": pruned(trained, masks)}
    folder = open_lth(tmp_path / "run", states, masks)
    ticket = wn.import_ticket(folder, model="lenet-300-100")
    trained.load_state_dict(states["ep1_it0"])
    x = images((1, 3, 3))
    ours = rebuilt(ticket, tmp_path / "t", "final")
    torch.testing.assert_close(ours(x), trained(x))


def test_other_networks_are_refused(tmp_path):
    model = grown(ResNet(20, 2))
    masks = random_masks(model)
    folder = open_lth(tmp_path / "run", {"ep0_it0": pruned(model, masks)}, masks)
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
    path = synaptic_flow(tmp_path / "twice.pt", twice, masks)
    with pytest.raises(UserError, match="two of its tensors have the same place"):
        wn.import_ticket(path, model="resnet-20")
    factors = grown(ResNet(20, 2, factors=True))
    masks = random_masks(factors) | {"blocks.0.shortcut.weight": torch.zeros(2, 1, 1)}
    path = synaptic_flow(tmp_path / "model.pt", factors.state_dict(), masks)
    assert "blocks.0.shortcut.weight" in wn.import_ticket(path).mask
    with pytest.raises(UserError, match="prunes an identity shortcut"):
        wn.import_ticket(path, model="resnet-20")
    long = grown(VGG()).state_dict() | {"layers.0.conv.bias": torch.ones(9)}
    masks = {n: torch.ones_like(t) for n, t in long.items() if t.dim() > 1}
    path = synaptic_flow(tmp_path / "long.pt", long, masks)
    with pytest.raises(UserError, match="and the norm after it differ in shape"):
        wn.import_ticket(path, model="vgg-11")
    bare = {n: t for n, t in grown(VGG()).state_dict().items() if ".bn." not in n}
    masks = {n: torch.ones_like(t) for n, t in bare.items() if t.dim() > 1}
    path = synaptic_flow(tmp_path / "bare.pt", bare, masks)
    with pytest.raises(UserError, match=r"'blocks.0.0.1.weight' is missing"):
        wn.import_ticket(path, model="vgg-11")


# ---- masks that are none, files that are wrong or damaged


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
        path = open_lth(folder, {"ep0_it0": pruned(model, masks)}, masks)
    elif layout == "grasp":
        dtype = data.draw(st.sampled_from([torch.bool, torch.uint8, torch.float16, torch.float64]))
        folder.mkdir()
        path = folder / "a"
        kept = {name: mask.to(dtype) for name, mask in masks.items()}
        torch.save({"net": model.state_dict(), "mask": kept}, path)
    else:
        folder.mkdir()
        path = synaptic_flow(folder / "model.pt", model.state_dict(), masks)
    ticket = wn.import_ticket(path)
    assert ticket.provenance["layout"] == layout
    assert ticket.mask == Mask({name: mask.bool() for name, mask in masks.items()})
    ticket.save(folder / "ticket")
    assert wn.load(folder / "ticket").mask == ticket.mask


@pytest.mark.parametrize("wrong", [0.5, 2.0, -1.0, float("nan"), 1 + 2**-20])
def test_masks_are_exactly_0_or_1(tmp_path, wrong):
    model = grown(Fc([4, 3, 2]))
    masks = random_masks(model)
    masks["fc.weight"][1, 2] = wrong
    path = synaptic_flow(tmp_path / "model.pt", model.state_dict(), masks)
    with pytest.raises(UserError, match=r"'fc.weight' must be 0 or 1: 1 of its 6 entries") as error:
        wn.import_ticket(path)
    assert str(path) in str(error.value)


def test_masks_fit_the_weights(tmp_path):
    model = grown(Fc([4, 3, 2]))
    state, masks = model.state_dict(), random_masks(model)
    for change, told in (
        ({"fc.weight": torch.ones(3, 2)}, r"'fc.weight' is \[3, 2\] in the mask"),
        ({"other.weight": torch.ones(3, 2)}, "'other.weight' is .* not there"),
    ):
        torch.save({"net": state, "mask": masks | change}, tmp_path / "a")
        with pytest.raises(UserError, match=told):
            wn.import_ticket(tmp_path / "a")
    for mask, told in (
        (None, "nothing was pruned"),
        ({}, "no mask"),
        ({"fc": None}, "is a NoneType"),
        ({"fc": torch.ones(2, 3).to_sparse()}, "no plain tensor"),
    ):
        torch.save({"net": state, "mask": mask}, tmp_path / "a")
        with pytest.raises(UserError, match=told):
            wn.import_ticket(tmp_path / "a")


def test_a_folder_of_two_runs(tmp_path):
    model = grown(Fc([4, 3, 2]))
    folder = open_lth(tmp_path / "a", {"ep0_it0": model.state_dict()}, random_masks(model))
    other = {name: torch.ones_like(mask) for name, mask in random_masks(model).items()}
    torch.save(other, folder / "mask.pth")
    with pytest.raises(UserError, match=r"keeps 18 of 18 weights, but sparsity_report.json says"):
        wn.import_ticket(folder)
    (folder / "sparsity_report.json").write_text('{"total": 18')
    with pytest.raises(UserError, match=r"sparsity_report.json is damaged"):
        wn.import_ticket(folder)
    (folder / "sparsity_report.json").unlink()
    assert wn.import_ticket(folder).mask.density == 1
    (folder / "model_ep0_it0.pth").unlink()
    with pytest.raises(UserError, match=r"no model_ep\*_it\*.pth stands beside"):
        wn.import_ticket(folder)


def test_files_of_no_layout(tmp_path):
    for content, told in (
        (torch.ones(3), "holds a Tensor"),
        ({}, r"keys \(none\)"),
        (grown(Fc([4, 3, 2])).state_dict(), "keys 'fc_layers.0.weight', 'fc_layers.0.bias'"),
        ({"state_dict": {"a": torch.ones(2)}}, "keys 'state_dict'"),
        ({"fc.weight": torch.ones(2, 2).to_sparse()}, "keys 'fc.weight'"),
        ({"fc.weight": torch.ones(2, 2, device="meta")}, "keys 'fc.weight'"),
    ):
        torch.save(content, tmp_path / "a.pt")
        with pytest.raises(UserError, match=told):
            wn.import_ticket(tmp_path / "a.pt")
        for layout in layouts():
            with pytest.raises(UserError, match=f"a.pt, read as {layout}"):
                wn.import_ticket(tmp_path / "a.pt", layout)
    with pytest.raises(UserError, match="Did you mean 'open_lth'"):
        wn.import_ticket(tmp_path / "a.pt", "open-lth")
    with pytest.raises(UserError, match=r"no mask.pth and no model.pt. Name a folder level_N/main"):
        wn.import_ticket(tmp_path)
    with pytest.raises(UserError, match="a folder with many files"):
        wn.import_ticket(tmp_path, "grasp")
    with pytest.raises(FileNotFoundError):
        wn.import_ticket(tmp_path / "none.pt")


def test_damaged_files_are_named(tmp_path):
    model = grown(Fc([4, 3, 2]))
    good = synaptic_flow(tmp_path / "good.pt", model.state_dict(), random_masks(model)).read_bytes()
    path = tmp_path / "broken.pt"
    for data in (b"", b"no torch file", good[:100], good[: len(good) // 2], good[:-30], good[300:]):
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"broken.pt is damaged or no torch file"):
            wn.import_ticket(path)
    for place in range(0, len(good), 211):  # refused, or read: never another error
        broken = bytearray(good)
        broken[place] ^= 0x55
        path.write_bytes(broken)
        with contextlib.suppress(UserError):
            wn.import_ticket(path)


class Evil:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_run(tmp_path, zipped):
    victim = tmp_path / "victim"
    for index, trap in enumerate(
        (
            Evil(os.mkdir, str(victim)),
            Evil(eval, f"__import__('os').mkdir({str(victim)!r})"),
            Evil(Path.mkdir, victim),
            Evil(getattr, "text", "upper"),
        )
    ):
        path = tmp_path / f"{index}.pth.tar"
        content = {"net": trap, "mask": {"a": torch.ones(2)}}
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(UserError, match=rf"{index}\.pth\.tar"):
            wn.import_ticket(path)
        assert not victim.exists()


def test_another_pickled_class_is_named(tmp_path):
    torch.save({"net": nn.Sequential(nn.Tanh()), "mask": {}}, tmp_path / "a")
    with pytest.raises(UserError, match=r"a pickled torch.nn.modules.activation.Tanh, .* not read"):
        wn.import_ticket(tmp_path / "a")


def test_reading_leaves_torch_as_it_was(tmp_path, as_published):
    before = set(torch.serialization.get_safe_globals())
    model = grown(VGG(grasp=True))
    path = as_published(tmp_path / "prune_a.pth.tar", model, random_masks(model), -1)
    wn.import_ticket(path)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(Exception, match="weights_only"):
        torch.load(path, weights_only=True)


def test_pickled_modules_that_are_none(tmp_path):
    def layer(**attributes: Any) -> nn.Module:
        made = nn.Linear(2, 2)
        made.__dict__.update(attributes)
        return made

    inner = nn.Sequential(nn.Linear(2, 2))
    inner._modules["0"] = {"weight": torch.ones(2, 2)}
    for net, mask, told in (
        (layer(_parameters=[1]), {}, "the _parameters of a pickled Linear are no dictionary"),
        (layer(_buffers={"a": 3}), {}, "is no dictionary of plain tensors"),
        (inner, {}, "'0' is a dict, not a module"),
        (layer(), {layer(): torch.ones(2, 2)}, "belongs to a module that is not in its 'net'"),
        (3, {"a": torch.ones(2)}, "'net' is no dictionary of plain tensors"),
    ):
        torch.save({"net": net, "mask": mask}, tmp_path / "a")
        with pytest.raises(UserError, match=told):
            wn.import_ticket(tmp_path / "a")


def test_a_module_inside_itself(tmp_path):
    outer = nn.Sequential(nn.Linear(2, 2))
    outer._modules["self"] = outer
    torch.save({"net": outer, "mask": {}}, tmp_path / "a")
    with pytest.raises(UserError, match="nested more than 50 deep"):
        wn.import_ticket(tmp_path / "a")


# ---- the command


def command(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["winnow", "import", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_command_writes_the_ticket(tmp_path, capsys):
    model = grown(Fc([784, 30, 10, 10]))
    masks = random_masks(model)
    folder = open_lth(tmp_path / "run", {"ep0_it0": pruned(model, masks)}, masks)
    to = tmp_path / "new" / "ticket.safetensors"
    assert command(folder, "--to", to, "--model", "lenet-300-100", "--layout", "open_lth") == 0
    told = capsys.readouterr().out
    assert "open_lth: mask.pth, model_ep0_it0.pth\n" in told
    assert f"{sum(int(m.sum()) for m in masks.values())} of 23920 kept" in told
    assert "  hidden: [30, 10]\n" in told
    assert f"ticket: {to}\n" in told
    written = wn.load(to)
    expected = wn.import_ticket(folder, model="lenet-300-100")
    assert written.mask == expected.mask
    assert same(written.rewind, dict(expected.rewind))


def test_the_command_writes_nothing_of_a_wrong_file(tmp_path, capsys):
    torch.save({"a": torch.randn(3)}, tmp_path / "a.pt")
    assert command(tmp_path / "a.pt", "--to", tmp_path / "ticket") == 2
    assert "no mask or masked network of open_lth, grasp, synaptic-flow" in capsys.readouterr().err
    assert command(tmp_path / "none.pt", "--to", tmp_path / "ticket") == 1
    assert "none.pt: No such file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
