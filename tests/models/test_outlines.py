"""The layers of torchvision's networks, counted where torchvision need not be."""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatchcase
from typing import Any

import pytest
import torch
from torch import nn

from winnow import models
from winnow.errors import UserError
from winnow.selection import prunable, resolve_names, weight_groups

IMAGENET = (3, 224, 224)
COUNTS = {  # parameters of 1,000 classes, biases and batch normalisation included
    "resnet-50": 25_557_032,
    "inception-v3": 23_834_568,  # 27,161,264 with the auxiliary classifier: the "27.1M" in print
    "squeezenet": 1_248_424,
    "vgg-16-imagenet": 138_357_544,
    "vgg-16-bn-imagenet": 138_365_992,
}
LAYERS = {"resnet-50": 50, "vgg-16-imagenet": 16, "vgg-16-bn-imagenet": 16, "squeezenet": 26}


def outlined(name: str, inputs: tuple[int, int, int] = IMAGENET, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return models.build(name, inputs=inputs, classes=1000, outline=True, **options)


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_as_many_as_known(name: str) -> None:
    network = outlined(name)
    assert sum(p.numel() for p in network.parameters()) == COUNTS[name]
    assert all(p.is_meta for p in network.parameters())


def test_the_auxiliary_classifier_is_what_inception_lacks() -> None:
    auxiliary = (768 * 128 + 2 * 128) + (128 * 768 * 25 + 2 * 768) + (768 * 1000 + 1000)
    assert COUNTS["inception-v3"] + auxiliary == 27_161_264


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_as_many_as_names_say(name: str) -> None:
    # SqueezeNet: two convolutions, and eight modules of three; projections do not count
    layers = [n for n in prunable(outlined(name)) if "downsample" not in n]
    assert len(layers) == LAYERS[name]


def test_projections_are_those_of_four_stages() -> None:
    found = [n for n in prunable(outlined("resnet-50")) if fnmatchcase(n, "*downsample*")]
    assert found == [f"layer{stage}.0.downsample.0.weight" for stage in (1, 2, 3, 4)]


def test_classes_are_those_asked_for() -> None:
    few = models.build("squeezenet", inputs=(3, 64, 64), classes=4, outline=True)
    assert sum(p.numel() for p in few.parameters()) == COUNTS["squeezenet"] - 996 * 513


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("resnet-50", "fc.weight"),
        ("inception-v3", "fc.weight"),
        ("squeezenet", "classifier.1.weight"),
        ("vgg-16-imagenet", "classifier.6.weight"),
    ],
)
def test_the_output_layer_is_the_last_linear_or_else_the_last(name: str, output: str) -> None:
    network = outlined(name)
    assert resolve_names(network, ["output"]) == [output]
    assert network.get_parameter(output).shape[0] == 1000
    assert weight_groups(network)["first"] == [next(iter(prunable(network)))]


@pytest.mark.parametrize(
    ("name", "inputs", "text"),
    [
        ("inception-v3", (3, 74, 75), "at least 75x75.*74x75"),
        ("vgg-16-imagenet", (3, 32, 31), "at least 32x32.*32x31"),
        ("squeezenet", (3, 20, 64), "at least 21x21"),
        ("resnet-50", (1, 28, 28), "3 channels, and these have 1"),
    ],
)
def test_images_of_another_kind_are_refused(
    name: str, inputs: tuple[int, int, int], text: str
) -> None:
    with pytest.raises(UserError, match=text):
        outlined(name, inputs)


@pytest.mark.parametrize("name", COUNTS)
def test_options_are_checked_as_for_any_network(name: str) -> None:
    if name == "resnet-50":
        with pytest.raises(UserError, match="resnet-50 does not take the option dropout"):
            outlined(name, dropout=0.5)
    else:
        outlined(name, dropout=0.5)
    with pytest.raises(UserError, match=f"{name} does not take the option width"):
        outlined(name, width=0.5)


def test_an_outline_needs_no_torchvision() -> None:
    code = (
        "import sys; sys.modules['torchvision'] = None; from winnow import models; "
        "models.build('squeezenet', inputs=(3, 64, 64), classes=4, outline=True)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_outline_of_a_network_of_ours_is_the_network() -> None:
    one = models.build("resnet-20", inputs=(3, 32, 32), classes=10, outline=True)
    assert one(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
