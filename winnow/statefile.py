"""States as safetensors bytes: masks bit-packed, of pruned tensors only the nonzeros."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from winnow.mask import Mask, from_bytes
from winnow.state import State

_Flat = dict[str, Tensor]
_UNFIT = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(ArithmeticError, RuntimeError, MemoryError),  # shapes that no memory holds
)


def pack_state(state: State, prefix: str = "") -> tuple[_Flat, dict[str, Any]]:
    """A state as flat tensors and a plain description, both for `unpack_state` and `mask.to_bytes`.

    Names are ``prefix`` + ``weights/NAME``, ``buffers/NAME``, ``slots/SLOT/NAME``, ``mask/NAME``,
    ``extras/KIND/NAME``. Buffers, extras and slots that live on are written whole.
    """
    mask: Mapping[str, Tensor] = state.mask or {}
    tensors: _Flat = {}
    about: dict[str, Any]
    groups = {"weights": state.weights, "buffers": state.buffers}
    groups |= {f"slots/{slot}": values for slot, values in state.slots.items()}
    groups |= {f"extras/{kind}": values for kind, values in state.extras.items()}
    for group, values in groups.items():
        for name, value in values.items():
            sparse = name in mask and _is_sparse(group, state.dense_slots)
            kept = value[mask[name]] if sparse else value
            tensors[f"{prefix}{group}/{name}"] = kept.contiguous()
    about = {"step": state.step, "updates": state.updates, "mask": None}
    if state.dense_slots:  # absent in older files, and so are the scalars
        about["dense_slots"] = True
    if state.scalars:
        about["scalars"] = dict(state.scalars)
    if state.mask is not None:
        packed, about["mask"] = state.mask.pack()
        tensors |= {f"{prefix}mask/{name}": bits for name, bits in packed.items()}
    return tensors, about


def unpack_state(
    tensors: Mapping[str, Tensor], plain: Mapping[str, Any], prefix: str = ""
) -> State:
    """The state that `pack_state` gave, dense again; removed weights are +0."""
    shapes = plain["mask"]
    mask = None
    if shapes is not None:
        mask = Mask.unpack({name: tensors[f"{prefix}mask/{name}"] for name in shapes}, shapes)
    dense_slots = bool(plain.get("dense_slots", False))
    groups: dict[str, _Flat] = {}
    for key, value in tensors.items():
        if key.startswith(prefix) and not key.startswith(f"{prefix}mask/"):
            group, name = key.removeprefix(prefix).rsplit("/", 1)
            pruned = mask is not None and name in mask and _is_sparse(group, dense_slots)
            groups.setdefault(group, {})[name] = (
                _spread(value, mask[name]) if pruned and mask is not None else value
            )
    return State(
        plain["step"],
        groups.get("weights", {}),
        groups.get("buffers", {}),
        mask,
        _inside(groups, "slots/"),
        plain["updates"],
        dense_slots,
        plain.get("scalars", {}),
        _inside(groups, "extras/"),
    )


def read_state(data: bytes, where: str) -> State:
    """The state of a file of kind "state". ValueError, with ``where``, unless it is one."""
    tensors, about = from_bytes("state", data, where)
    with unpacking(where):
        return unpack_state(tensors, about)


@contextlib.contextmanager
def unpacking(where: str) -> Iterator[None]:
    """Whatever a description raises that does not fit its tensors, as a ValueError."""
    try:
        yield
    except _UNFIT as error:
        raise ValueError(f"{where} is damaged: {error}") from error


def _is_sparse(group: str, dense_slots: bool) -> bool:
    """Whether a group's tensors are zero where the mask removes."""
    return group == "weights" or (group.startswith("slots/") and not dense_slots)


def _inside(groups: Mapping[str, _Flat], prefix: str) -> dict[str, _Flat]:
    return {g.removeprefix(prefix): v for g, v in groups.items() if g.startswith(prefix)}


def _spread(nonzeros: Tensor, keep: Tensor) -> Tensor:
    dense = torch.zeros(keep.shape, dtype=nonzeros.dtype)
    dense[keep] = nonzeros
    return dense
