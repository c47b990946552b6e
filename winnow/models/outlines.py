"""The layers of torchvision's networks, named and shaped as there, without what they compute.

A plan counts weights, and fits tickets and trained weights by name and shape: for that it needs no
torchvision. Sources: He et al. 2016 (table 1, with strides in 3x3 convolutions, which have no
weights), Szegedy et al. 2016 (table 1, figures 5 to 7), Iandola et al. 2016 (table 1), Simonyan &
Zisserman 2015 (table 1, D); the names are those of torchvision. Tests compare both.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from torch import nn

_Layer = tuple[str, nn.Module]
_Kernel = int | tuple[int, int]

_RESNET = ((3, 64), (4, 128), (6, 256), (3, 512))  # blocks of a stage, and their inner filters
_VGG = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
_FIRES = {3: (96, 16, 64), 4: (128, 16, 64), 5: (128, 32, 128), 7: (256, 32, 128)}
_FIRES |= {8: (256, 48, 192), 9: (384, 48, 192), 10: (384, 64, 256), 12: (512, 64, 256)}


class Outline(nn.Module):
    """Layers by dotted names, in order. It holds parameters and buffers, and computes nothing."""

    def __init__(self, layers: Iterator[_Layer]) -> None:
        super().__init__()
        for path, layer in layers:
            *folders, name = path.split(".")
            place: nn.Module = self
            for folder in folders:
                if folder not in dict(place.named_children()):
                    place.add_module(folder, nn.Module())
                place = place.get_submodule(folder)
            place.add_module(name, layer)


def outline(name: str, classes: int) -> Outline:
    """The layers of a network of torchvision for so many classes, by its name in Winnow."""
    layers = {
        "resnet-50": _resnet_50,
        "inception-v3": _inception_v3,
        "squeezenet": _squeezenet,
        "vgg-16-imagenet": _vgg_16,
        "vgg-16-bn-imagenet": _vgg_16_bn,
    }
    return Outline(layers[name](classes))


def _resnet_50(classes: int) -> Iterator[_Layer]:
    yield "conv1", _conv(3, 64, 7)
    yield "bn1", nn.BatchNorm2d(64)
    before = 64
    for stage, (blocks, inner) in enumerate(_RESNET, 1):
        for block in range(blocks):
            yield from _bottleneck(f"layer{stage}.{block}", before, inner, projected=block == 0)
            before = 4 * inner
    yield "fc", nn.Linear(before, classes)


def _bottleneck(path: str, before: int, inner: int, projected: bool) -> Iterator[_Layer]:
    shapes = ((before, inner, 1), (inner, inner, 3), (inner, 4 * inner, 1))
    for number, (ahead, after, kernel) in enumerate(shapes, 1):
        yield f"{path}.conv{number}", _conv(ahead, after, kernel)
        yield f"{path}.bn{number}", nn.BatchNorm2d(after)
    if projected:
        yield f"{path}.downsample.0", _conv(before, 4 * inner, 1)
        yield f"{path}.downsample.1", nn.BatchNorm2d(4 * inner)


def _vgg_16(classes: int, norm: bool = False) -> Iterator[_Layer]:
    place = 0  # ReLU and pools stand in the same list
    before = 3
    for block in _VGG:
        for pair in itertools.pairwise((before, *block)):
            yield f"features.{place}", _conv(*pair, 3, bias=True)
            if norm:
                yield f"features.{place + 1}", nn.BatchNorm2d(pair[1])
            place += 3 if norm else 2
        place += 1
        before = block[-1]
    for number, pair in enumerate(itertools.pairwise((512 * 49, 4096, 4096, classes))):
        yield f"classifier.{3 * number}", nn.Linear(*pair)


def _vgg_16_bn(classes: int) -> Iterator[_Layer]:
    return _vgg_16(classes, norm=True)


def _squeezenet(classes: int) -> Iterator[_Layer]:
    yield "features.0", _conv(3, 96, 7, bias=True)
    for place, (before, squeezed, after) in _FIRES.items():
        path = f"features.{place}"
        yield f"{path}.squeeze", _conv(before, squeezed, 1, bias=True)
        yield f"{path}.expand1x1", _conv(squeezed, after, 1, bias=True)
        yield f"{path}.expand3x3", _conv(squeezed, after, 3, bias=True)
    yield "classifier.1", _conv(512, classes, 1, bias=True)


def _inception_v3(classes: int) -> Iterator[_Layer]:
    first = (3, 32, 3), (32, 32, 3), (32, 64, 3), (64, 80, 1), (80, 192, 3)
    names = "1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"
    for name, shape in zip(names, first, strict=True):
        yield from _basic(f"Conv2d_{name}", *shape)
    for name, before, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
        yield from _branches(f"Mixed_{name}", _small_kernels(before, pooled))
    yield from _branches("Mixed_6a", _first_reduction(288))
    for name, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        yield from _branches(f"Mixed_{name}", _long_kernels(768, inner))
    yield from _branches("Mixed_7a", _second_reduction(768))
    for name, before in (("7b", 1280), ("7c", 2048)):
        yield from _branches(f"Mixed_{name}", _split_kernels(before))
    yield "fc", nn.Linear(2048, classes)


_Branches = dict[str, tuple[int, int, _Kernel]]


def _small_kernels(before: int, pooled: int) -> _Branches:
    """Figure 5: 5x5 convolutions as two of 3x3."""
    return {
        "1x1": (before, 64, 1),
        "5x5_1": (before, 48, 1),
        "5x5_2": (48, 64, 5),
        **_doubled_3x3(before),
        "_pool": (before, pooled, 1),
    }


def _doubled_3x3(before: int) -> _Branches:
    return {
        "3x3dbl_1": (before, 64, 1),
        "3x3dbl_2": (64, 96, 3),
        "3x3dbl_3": (96, 96, 3),
    }


def _first_reduction(before: int) -> _Branches:
    return {"3x3": (before, 384, 3), **_doubled_3x3(before)}


def _long_kernels(before: int, inner: int) -> _Branches:
    """Figure 6: 7x7 convolutions as 1x7 and 7x1."""
    wide, tall = (1, 7), (7, 1)
    return {
        "1x1": (before, 192, 1),
        "7x7_1": (before, inner, 1),
        "7x7_2": (inner, inner, wide),
        "7x7_3": (inner, 192, tall),
        "7x7dbl_1": (before, inner, 1),
        "7x7dbl_2": (inner, inner, tall),
        "7x7dbl_3": (inner, inner, wide),
        "7x7dbl_4": (inner, inner, tall),
        "7x7dbl_5": (inner, 192, wide),
        "_pool": (before, 192, 1),
    }


def _second_reduction(before: int) -> _Branches:
    return {
        "3x3_1": (before, 192, 1),
        "3x3_2": (192, 320, 3),
        "7x7x3_1": (before, 192, 1),
        "7x7x3_2": (192, 192, (1, 7)),
        "7x7x3_3": (192, 192, (7, 1)),
        "7x7x3_4": (192, 192, 3),
    }


def _split_kernels(before: int) -> _Branches:
    """Figure 7: 3x3 convolutions as 1x3 beside 3x1."""
    wide, tall = (1, 3), (3, 1)
    return {
        "1x1": (before, 320, 1),
        "3x3_1": (before, 384, 1),
        "3x3_2a": (384, 384, wide),
        "3x3_2b": (384, 384, tall),
        "3x3dbl_1": (before, 448, 1),
        "3x3dbl_2": (448, 384, 3),
        "3x3dbl_3a": (384, 384, wide),
        "3x3dbl_3b": (384, 384, tall),
        "_pool": (before, 192, 1),
    }


def _branches(path: str, branches: _Branches) -> Iterator[_Layer]:
    for name, shape in branches.items():
        yield from _basic(f"{path}.branch{name}", *shape)


def _basic(path: str, before: int, after: int, kernel: _Kernel) -> Iterator[_Layer]:
    yield f"{path}.conv", _conv(before, after, kernel)
    yield f"{path}.bn", nn.BatchNorm2d(after)


def _conv(before: int, after: int, kernel: _Kernel, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, bias=bias)
