"""The masks of all layers as one tensor of bytes, and its description."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from winnow.mask import Mask
from winnow.packing.bound import check_described
from winnow.packing.keeps import pack_keep, unpack_keep
from winnow.packing.values import as_bytes, as_tensor

_NAME = "mask"


def pack_layers(mask: Mask) -> tuple[dict[str, Tensor], list[list[Any]]]:
    """The tensor ``mask``, and for each layer its name, shape, coding and number of bytes."""
    packed = {name: pack_keep(keep) for name, keep in mask.items()}
    data = b"".join(one for _, one in packed.values())
    about = [
        [name, list(keep.shape), packed[name][0], len(packed[name][1])]
        for name, keep in mask.items()
    ]
    return ({_NAME: as_tensor(data)} if data else {}), about


def unpack_layers(tensors: Mapping[str, Tensor], about: Sequence[Any]) -> Mask:
    """The mask that `pack_layers` was given. ValueError or TypeError for what does not fit."""
    sizes = [math.prod(checked_shape(name, shape)) for name, shape, _, _ in about]
    check_described(sum(sizes), tensors)
    data = as_bytes(tensors[_NAME]) if _NAME in tensors else b""
    found: dict[str, Tensor] = {}
    begin = 0
    for name, shape, coding, length in about:
        if name in found or type(length) is not int or length < 0:
            raise ValueError(f"the mask of {name!r} stands there twice, or has {length!r} bytes")
        found[name] = unpack_keep(coding, data[begin : begin + length], checked_shape(name, shape))
        begin += length
    if begin != len(data):
        raise ValueError(f"the masks have {len(data)} bytes, and their layers {begin}")
    return Mask(found)


def checked_shape(name: object, shape: object) -> list[int]:
    """A shape as it is written. ValueError for one that no tensor has."""
    if isinstance(shape, list) and all(type(n) is int and 0 <= n < 2**63 for n in shape):
        return shape
    raise ValueError(f"{name!r} has the shape {shape!r}")
