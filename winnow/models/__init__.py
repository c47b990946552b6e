"""The papers' networks by name, as plain ``nn.Module`` objects. Listing them imports no torch.

The last ``nn.Linear`` of each network is its output layer (of SqueezeNet, which has none, the last
convolution); the projection shortcuts of the residual networks match the glob ``"*shortcut*"``,
those of ResNet-50, which has torchvision's names, ``"*downsample*"``.
"""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from winnow.errors import UserError, unknown

if TYPE_CHECKING:
    from torch import nn


class Builder(NamedTuple):
    """Where a network is built, as ``module:function``, and the options that it takes.

    The function is called with the network's name, ``inputs``, ``classes`` and the options that
    are not at their defaults, by name. Where it needs a package that not everybody has:
    ``outline``, called likewise, gives the network's layers without it; ``check``, called with the
    name, raises UserError if it is not here.
    """

    function: str
    options: tuple[str, ...] = ()
    outline: str | None = None
    check: str | None = None


def _of_torchvision(*options: str) -> Builder:
    place = "winnow.models.vision"
    outline, check = f"{place}:torchvision_outline", f"{place}:check_torchvision"
    return Builder(f"{place}:torchvision_network", options, outline, check)


NETWORKS: dict[str, Builder] = {
    "lenet-300-100": Builder("winnow.models.lenet:lenet", ("hidden",)),
    "conv-2": Builder("winnow.models.conv:conv", ("width", "dropout")),
    "conv-4": Builder("winnow.models.conv:conv", ("width", "dropout")),
    "conv-6": Builder("winnow.models.conv:conv", ("width", "dropout")),
    "vgg-11": Builder("winnow.models.vgg:vgg", ("width", "conv_bias")),
    "vgg-16": Builder("winnow.models.vgg:vgg", ("width", "conv_bias")),
    "vgg-19": Builder("winnow.models.vgg:vgg", ("width", "conv_bias")),
    "resnet-20": Builder("winnow.models.resnet:resnet", ("width", "shortcut")),
    "resnet-32": Builder("winnow.models.resnet:resnet", ("width", "shortcut")),
    "resnet-50": _of_torchvision(),
    "inception-v3": _of_torchvision("dropout"),
    "squeezenet": _of_torchvision("dropout"),
    "vgg-16-imagenet": _of_torchvision("dropout"),
    "vgg-16-bn-imagenet": _of_torchvision("dropout"),
}
"""Every network by name. ``docs/add-a-network.md`` shows how to add one."""


SHORTCUTS = ("projection", "padded")
"""What the shortcuts of residual networks are where the shape changes; the first is usual."""


def is_own_network(name: str) -> bool:
    """Whether a name is that of a function outside Winnow: see `models.own`."""
    return ":" in name


def network_names() -> list[str]:
    """The networks that ``build`` knows."""
    return list(NETWORKS)


def network_options(name: str) -> tuple[str, ...]:
    """Which of the options of `build` a network takes; UserError if unknown."""
    return _known(name).options


def check_buildable(name: str) -> None:
    """UserError, saying what to install, for a network of a package that is not here."""
    if (check := _known(name).check) is not None:
        pkgutil.resolve_name(check)(name)


def build(
    name: str,
    *,
    inputs: tuple[int, int, int],
    classes: int,
    hidden: Sequence[int] | None = None,
    width: float = 1.0,
    dropout: float = 0.0,
    conv_bias: bool = False,
    shortcut: str = "projection",
    outline: bool = False,
) -> nn.Module:
    """A network for images of shape ``inputs`` = (C, H, W); it returns logits (B, ``classes``).

    ``hidden``: sizes of the hidden layers (LeNet). ``width``: factor on the number of filters
    (VGG, ResNet; Conv-2/4/6, on hidden units too). ``dropout``: probability on the hidden fully
    connected layers (Conv-2/4/6, networks of torchvision). ``conv_bias``: whether convolutions have
    biases beside their batch normalisation (VGG). ``shortcut``: where the shape changes,
    ``projection`` or ``padded`` (ResNet). ``outline``: the same layers will do, of a network that
    need not compute anything: of those of torchvision, they are there without it.
    Works under ``torch.device("meta")``. The weights are torch's defaults; ``initialise`` sets
    them. Raises UserError for an unknown network, an option that it does not take, a value out
    of range, an image too small for its pools, or a network whose package is not installed.
    """
    known = _known(name)
    _check_size(name, inputs, classes)
    given: dict[str, object] = {}
    if hidden is not None:
        given["hidden"] = _checked_hidden(hidden)
    if width != 1.0:
        given["width"] = _checked_width(width)
    if dropout != 0.0:
        given["dropout"] = _checked_dropout(dropout)
    if conv_bias:
        given["conv_bias"] = conv_bias
    if shortcut != SHORTCUTS[0]:
        given["shortcut"] = _checked_shortcut(shortcut)
    _check_options(name, given)
    builder = pkgutil.resolve_name((outline and known.outline) or known.function)
    return cast("nn.Module", builder(name, inputs, classes, **given))


def _known(name: str) -> Builder:
    if name not in NETWORKS:
        listed = f"The networks are {', '.join(NETWORKS)}; your own is module:function"
        raise unknown("network", name, NETWORKS, listed)
    return NETWORKS[name]


def _check_options(name: str, given: dict[str, object]) -> None:
    allowed = network_options(name)
    for option, value in given.items():
        if option not in allowed:
            taken = ", ".join(allowed) or "none"
            raise UserError(
                f"{name} does not take the option {option} (given: {value!r}); "
                f"it takes {taken}. Leave {option} out."
            )


def _check_size(name: str, inputs: tuple[int, int, int], classes: int) -> None:
    if len(inputs) != 3 or min(inputs) < 1:
        raise UserError(
            f"{name}: inputs={inputs!r} must be three numbers (channels, height, width), "
            "each at least 1, e.g. (3, 32, 32)"
        )
    if classes < 2:
        raise UserError(f"{name}: classes={classes} must be at least 2, e.g. 10")


def _checked_hidden(hidden: Sequence[int]) -> list[int]:
    if not all(isinstance(size, int) and size >= 1 for size in hidden):
        raise UserError(f"hidden={list(hidden)!r} must hold sizes of at least 1, e.g. [300, 100]")
    return list(hidden)


def _checked_width(width: float) -> float:
    if not (math.isfinite(width) and width > 0):
        raise UserError(f"width={width!r} must be a positive factor, e.g. 2")
    return width


def _checked_dropout(dropout: float) -> float:
    if not 0 <= dropout < 1:
        raise UserError(f"dropout={dropout!r} must be a probability in [0, 1), e.g. 0.5")
    return dropout


def _checked_shortcut(shortcut: str) -> str:
    if shortcut not in SHORTCUTS:
        raise UserError(f"shortcut={shortcut!r} must be one of {', '.join(SHORTCUTS)}")
    return shortcut
