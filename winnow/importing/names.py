"""From the parameter names of the three projects to those of Winnow's own networks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from winnow import models
from winnow.errors import UserError
from winnow.importing.found import ForeignTicket, binary

Names = dict[str, str]  # a module's name there -> its name here

_HIDDEN = re.compile(r"hidden\.\d+\.weight")
_OUTPUT = ("fc", "linear", "classifier")
_BLOCK = {
    "conv1": "conv1",
    "bn1": "norm1",
    "conv2": "conv2",
    "bn2": "norm2",
    "shortcut.0": "shortcut.0",
    "shortcut.1": "shortcut.1",
    "downsample.0": "shortcut.0",
    "bn3": "shortcut.1",
}


def renamed(found: ForeignTicket, network: str) -> tuple[ForeignTicket, dict[str, Any]]:
    """The same ticket with the names of ``network``, and the arguments of ``models.build``.

    Raises UserError when the tensors are not those of the network, whatever its width, classes
    or hidden sizes.
    """
    models.network_options(network)  # an unknown network first
    family = _FAMILIES.get(network)
    if family is None:
        raise UserError(f"no layout has a network that corresponds to {network}: leave model out")
    names = family.names(found.rewind, network)
    build = _arguments(network, family, {_new(n, names): t for n, t in found.rewind.items()})
    target = _empty(build)

    def convert(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        plain = _without_identities(tensors, found.masks)
        new = {_new(name, names): tensor for name, tensor in plain.items()}
        if len(new) < len(plain):
            raise UserError(f"its network is no {network}: two of its tensors have the same place")
        removed = {_new(name, names): mask for name, mask in found.masks.items()}
        new = _without_biases(new, removed, target)
        _check_same(new, target, network)
        return new

    rewind = convert(found.rewind)
    final = None if found.final is None else convert(found.final)
    masks = {_new(name, names): mask for name, mask in found.masks.items()}
    folded = [name for name in masks if _mean_of(name, target)]
    kept = {name: mask for name, mask in masks.items() if name not in folded}
    return ForeignTicket(kept, rewind, final, found.about), build


def _new(name: str, names: Names) -> str:
    module, dot, key = name.rpartition(".")
    return f"{names[module]}.{key}" if dot and module in names else name


def _empty(build: dict[str, Any]) -> dict[str, Tensor]:
    """The state_dict of a network without storage."""
    with torch.device("meta"):
        return dict(models.build(**build).state_dict())


def _check_same(new: Mapping[str, Tensor], target: Mapping[str, Tensor], network: str) -> None:
    faults = [f"{name!r} is missing" for name in target if name not in new]
    faults += [f"{name!r} has no place in it" for name in new if name not in target]
    faults += [
        f"{name!r} is {list(new[name].shape)} instead of {list(target[name].shape)}"
        for name in target
        if name in new and new[name].shape != target[name].shape
    ]
    if faults:
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UserError(f"its network is no {network}: {'; '.join(faults[:3])}{more}")


# ---- what Winnow's networks have in another form


def _without_identities(
    tensors: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Without the factors, all 1, on Synaptic-Flow's identity shortcuts."""
    identities = [n for n in tensors if re.fullmatch(r"blocks\.\d+\.shortcut\.weight", n)]
    for name in identities:
        if name in masks or bool((tensors[name] != 1).any()):
            raise UserError(f"{name!r} prunes an identity shortcut, which Winnow's networks cannot")
    return {name: tensor for name, tensor in tensors.items() if name not in identities}


def _without_biases(
    tensors: Mapping[str, Tensor], masks: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Biases of convolutions before a batch norm, taken from its running mean: μ - b.

    The norm of x + b with mean μ is that of x with mean μ - b; in training mode the batch's own
    mean takes any bias out. So the network computes the same, and goes on to.
    """
    left = dict(tensors)
    for name in tensors:
        mean = _mean_of(name, target)
        if mean in left:
            bias = left.pop(name)
            kept = binary(name, masks[name]) if name in masks else torch.ones_like(bias)
            if not bias.shape == kept.shape == left[mean].shape:
                raise UserError(f"{name!r}, its mask and the norm after it differ in shape")
            left[mean] = left[mean] - bias * kept
    return left


def _mean_of(bias: str, target: Mapping[str, Tensor]) -> str:
    """The running mean that takes in a convolution's bias that the target lacks; or ''."""
    mean = re.sub(r"0\.bias$", "1.running_mean", bias)
    return mean if bias not in target and mean != bias and mean in target else ""


# ---- which module is which


def _lenet(weights: Mapping[str, Tensor], network: str) -> Names:  # noqa: ARG001
    """fc_layers.N and fc of open_lth; the N-th module of a Sequential in Synaptic-Flow."""
    layers = list(_kernels(weights))
    if layers and all(layer.isdecimal() for layer in layers):
        *hidden, output = sorted(layers, key=int)
        return {layer: f"hidden.{i}" for i, layer in enumerate(hidden)} | {output: "output"}
    hidden = sorted((n for n in layers if re.fullmatch(r"fc_layers\.\d+", n)), key=_numbers)
    return {layer: f"hidden.{i}" for i, layer in enumerate(hidden)} | _outputs()


def _resnet(weights: Mapping[str, Tensor], network: str) -> Names:  # noqa: ARG001
    """blocks.N of open_lth and Synaptic-Flow; layer1.N, layer2.N, layer3.N of GraSP."""
    found = {
        named[0]
        for name in weights
        if (named := re.match(r"blocks\.\d+(?=\.)|layer\d+\.\d+(?=\.)", name))
    }
    names = {"conv": "conv", "conv1": "conv", "bn": "norm", **_outputs()}
    for index, block in enumerate(sorted(found, key=_numbers)):
        names |= {f"{block}.{old}": f"blocks.{index}.{new}" for old, new in _BLOCK.items()}
    return names


def _vgg(weights: Mapping[str, Tensor], network: str) -> Names:
    """layers.K.conv and layers.K.bn of open_lth and Synaptic-Flow; feature.K of GraSP, in order."""
    convs = [name for name, kernel in _kernels(weights).items() if kernel.dim() == 4]
    norms = [n.removesuffix(".running_mean") for n in weights if n.endswith(".running_mean")]
    own = _empty({"name": network, "inputs": (3, 32, 32), "classes": 10})
    places = [n.removesuffix(".0.weight") for n in own if n.endswith(".0.weight")]
    if len(convs) != len(places):
        raise UserError(f"it has {len(convs)} convolutions, but {network} has {len(places)}")
    names = _outputs()
    for position, modules in ((0, convs), (1, norms)):
        pairs = zip(sorted(modules, key=_numbers), places, strict=False)
        names |= {module: f"{place}.{position}" for module, place in pairs}
    return names


@dataclass(frozen=True)
class _Family:
    """Networks whose modules have the same names: how those are found, the first layer here, and
    its filters at width 1 (0: it is fully connected).
    """

    names: Callable[[Mapping[str, Tensor], str], Names]
    first: str
    filters: int = 0


_FAMILIES: dict[str, _Family] = {
    "lenet-300-100": _Family(_lenet, "hidden.0"),
    **dict.fromkeys(("resnet-20", "resnet-32"), _Family(_resnet, "conv", 16)),
    **dict.fromkeys(("vgg-11", "vgg-16", "vgg-19"), _Family(_vgg, "blocks.0.0.0", 64)),
}


def _arguments(network: str, family: _Family, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What ``models.build`` needs to know, from the shapes. Layouts do not tell the image size."""
    for name in (f"{family.first}.weight", "output.weight"):
        if name not in tensors or tensors[name].dim() < 2:
            raise UserError(f"its network is no {network}: nothing in it is the {name!r} of one")
    entry = tensors[f"{family.first}.weight"]
    given: dict[str, Any] = {"name": network, "classes": tensors["output.weight"].shape[0]}
    if family.filters:
        given["inputs"] = (entry.shape[1], 32, 32)
        if entry.shape[0] != family.filters:
            given["width"] = entry.shape[0] / family.filters
    else:
        side = math.isqrt(entry.shape[1])
        given["inputs"] = (1, side, side) if side**2 == entry.shape[1] else (1, 1, entry.shape[1])
        layers = sorted((n for n in tensors if _HIDDEN.fullmatch(n)), key=_numbers)
        given["hidden"] = [tensors[name].shape[0] for name in layers]
    return given


def _outputs() -> Names:
    return dict.fromkeys(_OUTPUT, "output")


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def _kernels(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Module -> matrix or kernel."""
    found = ((n.removesuffix(".weight"), t) for n, t in weights.items() if n.endswith(".weight"))
    return {name: tensor for name, tensor in found if tensor.dim() in (2, 4)}
