"""Checkpoints of alecwangcq/GraSP.

prune_*.pth.tar (before training, epoch -1) and finetune_*_best.pth.tar (the epoch of best test
accuracy) are dictionaries with "net", the pickled module; "mask", module -> float tensor of 0 and
1 for each convolution and linear layer; "acc", "epoch", "args" and "ratio". Only the attributes
of the modules are read: parameters, buffers and children. The ImageNet script trains from such a
file and writes "state_dict", with the mask of X.weight as X.mask. Files whose "net" is a
state_dict and whose "mask" goes by names are read as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from winnow.errors import UserError
from winnow.importing.found import (
    ForeignTicket,
    Layout,
    Reader,
    binary,
    check_shared,
    state_dict_in,
    without_prefix,
)
from winnow.importing.reading import Inert

_TRAINED = ("finetune_", "_best.pth.tar")
_DEEPEST = 50  # a module inside itself has no end
_MOST = 10_000  # names of modules: those that have each other twice have 2^depth
_LONGEST = 1000  # letters of a name


def _recognises(file: Path, content: object) -> bool:  # noqa: ARG001  one signature for all
    """A network with its masks, or an ImageNet checkpoint with masks among the weights."""
    if not isinstance(content, Mapping):
        return False
    if "net" in content and "mask" in content:
        return True
    names = content.get("state_dict")
    return isinstance(names, Mapping) and any(str(name).endswith(".mask") for name in names)


def _find(file: Path, content: object, reader: Reader) -> ForeignTicket:
    """Masks and weights; the untrained weights from the prune_* file beside, where it fits."""
    if not isinstance(content, Mapping):
        raise UserError(f"it holds a {type(content).__name__}, not a dictionary")
    if "net" not in content:
        return _imagenet(content)
    masks, weights = _network(content)
    about = {"epoch": content.get("epoch"), "accuracy": content.get("acc")}
    about = {key: value for key, value in about.items() if _is_finite(value)}
    begun = _before(file, masks, reader)
    if begun is None:
        return ForeignTicket(masks, weights, None, about)
    return ForeignTicket(masks, begun, weights, about)


def _is_finite(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) < 2**53
    return isinstance(value, float) and math.isfinite(value)


def _before(file: Path, masks: Mapping[str, Tensor], reader: Reader) -> dict[str, Tensor] | None:
    start, end = _TRAINED
    if not (file.name.startswith(start) and file.name.endswith(end)):
        return None
    name = f"prune_{file.name.removeprefix(start).removesuffix(end)}.pth.tar"
    if not (file.parent / name).exists():
        return None
    earlier, weights = _network(reader.read(file.parent / name))
    if masks.keys() == earlier.keys() and all(
        torch.equal(binary(name, masks[name]), binary(name, earlier[name])) for name in masks
    ):
        return weights
    reader.forget(name)  # of another run
    return None


def _network(content: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Masks by parameter name, and the state_dict."""
    net, masks = content.get("net"), content.get("mask")
    if not isinstance(masks, Mapping):
        raise UserError("its 'mask' is no dictionary: nothing was pruned")
    check_shared("'mask'", masks)
    if not isinstance(net, Inert):
        weights = without_prefix(state_dict_in("'net'", net), "module.")
        return {_parameter(str(key), weights): mask for key, mask in masks.items()}, weights
    modules = _modules(net)
    names = {id(module): name for name, module in modules.items()}
    if any(id(key) not in names for key in masks):
        raise UserError("a mask belongs to a module that is not in its 'net'")
    weights = {}
    for name, module in modules.items():
        weights |= _own_tensors(name, module)
    check_shared("'net'", weights)
    return {_joined(names[id(key)], "weight"): mask for key, mask in masks.items()}, weights


def _parameter(key: str, weights: Mapping[str, Tensor]) -> str:
    """The name of a parameter, from its own or its module's."""
    key = key.removeprefix("module.")
    return f"{key}.weight" if f"{key}.weight" in weights else key


def _modules(net: Inert) -> dict[str, Inert]:
    """All modules by name; one that is shared has several."""
    modules: dict[str, Inert] = {}
    for name, module in _named(net, ""):
        modules[name] = module
        if len(modules) > _MOST:
            raise UserError(f"its modules have more than {_MOST} names, as they share each other")
    return modules


def _named(module: Inert, name: str) -> Iterator[tuple[str, Inert]]:
    if len(name) > _LONGEST:
        raise UserError(f"a module's name has more than {_LONGEST} letters: {name[:40]!r}…")
    if name.count(".") > _DEEPEST:
        raise UserError(f"its modules are nested more than {_DEEPEST} deep: {name[:40]!r}…")
    yield name, module
    for key, child in _part(module, "_modules").items():
        if child is not None:
            inner = _joined(name, str(key))
            if not isinstance(child, Inert):
                raise UserError(f"{inner!r} is a {type(child).__name__}, not a module")
            yield from _named(child, inner)


def _own_tensors(name: str, module: Inert) -> dict[str, Tensor]:
    held = {**_part(module, "_parameters"), **_part(module, "_buffers")}
    tensors = {
        _joined(name, str(key)): tensor for key, tensor in held.items() if tensor is not None
    }
    return state_dict_in(name, tensors) if tensors else {}


def _part(module: Inert, part: str) -> Mapping[str, Any]:
    held = vars(module).get(part, {})
    if not isinstance(held, Mapping):
        raise UserError(f"the {part} of a pickled {type(module).__name__} are no dictionary")
    return held


def _joined(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key


def _imagenet(content: Mapping[str, Any]) -> ForeignTicket:
    tensors = without_prefix(state_dict_in("'state_dict'", content.get("state_dict")), "module.")
    masks = {
        f"{n.removesuffix('.mask')}.weight": t for n, t in tensors.items() if n.endswith(".mask")
    }
    weights = {n: t for n, t in tensors.items() if not n.endswith(".mask")}
    epoch = content.get("epoch")
    return ForeignTicket(masks, weights, about={"epoch": epoch} if _is_finite(epoch) else {})


GRASP = Layout(_recognises, _find)
