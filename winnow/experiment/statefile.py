"""States as safetensors bytes: masks bit-packed, of pruned tensors only the nonzeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from winnow.mask import Mask
from winnow.state import State

Tensors = dict[str, Tensor]


def pack(state: State, prefix: str = "") -> tuple[Tensors, dict[str, Any]]:
    """A state as flat tensors and a plain description, both for `unpack` and `mask.to_bytes`.

    Names are ``prefix`` + ``weights/NAME``, ``buffers/NAME``, ``slots/SLOT/NAME``, ``mask/NAME``.
    """
    mask: Mapping[str, Tensor] = state.mask or {}
    tensors: Tensors = {}
    about: dict[str, Any]
    groups = {"weights": state.weights, "buffers": state.buffers}
    groups |= {f"slots/{slot}": values for slot, values in state.slots.items()}
    for group, values in groups.items():
        for name, value in values.items():
            kept = value[mask[name]] if name in mask and group != "buffers" else value
            tensors[f"{prefix}{group}/{name}"] = kept.contiguous()
    about = {"step": state.step, "updates": state.updates, "mask": None}
    if state.mask is not None:
        packed, about["mask"] = state.mask.pack()
        tensors |= {f"{prefix}mask/{name}": bits for name, bits in packed.items()}
    return tensors, about


def unpack(tensors: Mapping[str, Tensor], plain: Mapping[str, Any], prefix: str = "") -> State:
    """The state that `pack` gave, dense again; removed weights are +0."""
    shapes = plain["mask"]
    mask = None
    if shapes is not None:
        mask = Mask.unpack({name: tensors[f"{prefix}mask/{name}"] for name in shapes}, shapes)
    groups: dict[str, Tensors] = {}
    for key, value in tensors.items():
        if key.startswith(prefix) and not key.startswith(f"{prefix}mask/"):
            group, name = key.removeprefix(prefix).rsplit("/", 1)
            pruned = mask is not None and name in mask and group != "buffers"
            groups.setdefault(group, {})[name] = (
                _spread(value, mask[name]) if pruned and mask is not None else value
            )
    slots = {g.removeprefix("slots/"): v for g, v in groups.items() if g.startswith("slots/")}
    weights, buffers = groups.get("weights", {}), groups.get("buffers", {})
    return State(plain["step"], weights, buffers, mask, slots, plain["updates"])


def _spread(nonzeros: Tensor, keep: Tensor) -> Tensor:
    dense = torch.zeros(keep.shape, dtype=nonzeros.dtype)
    dense[keep] = nonzeros
    return dense
