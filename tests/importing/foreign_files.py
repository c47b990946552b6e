"""Files in the layouts of open_lth, GraSP and Synaptic-Flow."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_networks import VGG, BasicBlock, ResNet, State
from torch import Tensor, nn


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


def grasp(path: Path, model: nn.Module, masks: State, epoch: int, zipped: bool = True) -> Path:
    """A pickle whose classes carry the names that they have in GraSP's code."""
    by_module = {model.get_submodule(n.removesuffix(".weight")): m for n, m in masks.items()}
    content = {
        "net": model,
        "acc": 91.5 if epoch >= 0 else -1,
        "epoch": epoch,
        "args": EasyDict(network="vgg", depth=11, exp_name="GraSP"),
        "mask": by_module,
        "ratio": {**dict.fromkeys(by_module, 40.0), "ratio": 40.0},
    }
    with pytest.MonkeyPatch.context() as patch:
        for package in ("models", "models.base"):
            patch.setitem(sys.modules, package, types.ModuleType(package))
        for module, classes in PUBLISHED.items():
            made = types.ModuleType(module)
            for kind in classes:
                setattr(made, kind.__name__, kind)
                patch.setattr(kind, "__module__", module)
            patch.setitem(sys.modules, module, made)
        ModelBase(model, by_module)
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path
