"""Networks for ImageNet as torchvision builds them, under its names of layers: optional.

So weights that torchvision (or anyone) trained load by name. Nothing is downloaded: weights come
from seeds, as in all networks of Winnow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, cast

from torch import nn

from winnow.errors import UserError

_INSTALL = "pip install 'winnow[vision]' (torchvision, of the release that goes with this torch)"


@dataclass(frozen=True)
class _Known:
    """What torchvision calls a network, the least side of its images, and what is said to it."""

    function: str
    least: int
    options: Mapping[str, Any] = field(default_factory=dict)


_SLOW_INIT = {"init_weights": False}  # its own weights, which seeds replace anyway
_NETWORKS: Mapping[str, _Known] = {
    "resnet-50": _Known("resnet50", 32),
    "inception-v3": _Known("inception_v3", 75, {"aux_logits": False, **_SLOW_INIT}),
    "squeezenet": _Known("squeezenet1_0", 21),
    "vgg-16-imagenet": _Known("vgg16", 32, _SLOW_INIT),
    "vgg-16-bn-imagenet": _Known("vgg16_bn", 32, _SLOW_INIT),
}


def torchvision_network(
    name: str, inputs: tuple[int, int, int], classes: int, dropout: float = 0.0
) -> nn.Module:
    """ResNet-50, Inception-v3, SqueezeNet 1.0, or VGG-16 in its form for ImageNet.

    They return logits (B, ``classes``), after an average over what is left of the image. Where
    they depart from the papers that describe them: ResNet-50 halves images in its 3x3
    convolutions; Inception-v3 has no auxiliary classifier, which adds 0.4 of its own loss in
    training (Szegedy et al. 2016, section 4) and nothing to predictions; SqueezeNet is version
    1.0, whose output layer is a 1x1 convolution with a ReLU behind it, so that logits are never
    negative; VGG-16 has batch normalisation as ``vgg-16-bn-imagenet``. ``dropout``: before
    the output (Inception-v3, SqueezeNet), or on both hidden layers (VGG-16); torchvision's is 0.5,
    here it is 0 unless said.
    Raises UserError: torchvision is not installed or does not load, or images of another kind.
    """
    check_images(name, inputs)
    known = _NETWORKS[name]
    options = dict(known.options)
    if name != "resnet-50":  # it has none
        options["dropout"] = dropout
    build = getattr(_torchvision_models(name), known.function)
    return cast("nn.Module", build(weights=None, num_classes=classes, **options))


def torchvision_outline(
    name: str, inputs: tuple[int, int, int], classes: int, dropout: float = 0.0
) -> nn.Module:
    """The layers of such a network, for counting; needs no torchvision. UserError for images of
    another kind.
    """
    from winnow.models.outlines import outline

    del dropout  # it has no weights
    check_images(name, inputs)
    return outline(name, classes)


def check_torchvision(name: str) -> None:
    """UserError, saying how to install it, where torchvision is not there for a network."""
    _torchvision_models(name)


def check_images(name: str, inputs: tuple[int, int, int]) -> None:
    """UserError for images that are not in colour, or too small for the network's pools."""
    least = _NETWORKS[name].least
    channels, *sides = inputs
    if channels != 3:
        raise UserError(
            f"{name} takes images of 3 channels, and these have {channels}: take coloured ones, "
            "e.g. cifar-10, or another network"
        )
    if min(sides) < least:
        raise UserError(
            f"{name} needs images of at least {least}x{least} pixels; these are "
            f"{sides[0]}x{sides[1]}. Take larger ones or a smaller network, e.g. resnet-20."
        )


def _torchvision_models(name: str) -> Any:
    try:
        return import_module("torchvision.models")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "torchvision":
            raise UserError(f"{name}: torchvision does not load ({error}): {_INSTALL}") from None
        raise UserError(
            f"{name} is a network of torchvision, which is not installed: {_INSTALL}"
        ) from None
    except (ImportError, RuntimeError, OSError) as error:  # one built for another torch
        raise UserError(f"{name}: torchvision does not load ({error}): {_INSTALL}") from None
