"""The weights of a ticket as tensors of bytes, and their description."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from winnow.errors import UserError
from winnow.mask import Mask
from winnow.packing.values import (
    are_zero,
    as_tensor,
    dtype_name,
    kept_of,
    number_bytes,
    on_cpu,
    pack_values,
)
from winnow.survivors import Survivors, check_known

_SHARED = 4096  # bytes: smaller tensors deflate to less than the place of an equal one costs
_LARGEST = torch.finfo(torch.float16).max


@dataclass
class TicketWriter:
    """Packs one part after the other into ``tensors``.

    ``removed``: removed weights too; ``half``: floats of more than 2 bytes as float16. ``places``:
    a hash of numbers → the part and name under which they stand already, as tied weights do.
    """

    mask: Mask
    removed: bool
    half: bool
    tensors: dict[str, Tensor] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def write(self, part: str, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        """The description of a part: ``layout`` (name, dtype and shape of every tensor), ``coded``
        (dtype → coding), ``same`` (name → where its numbers stand), ``whole`` (masked tensors with
        their removed weights) and ``left_out`` (whether any are missing).
        """
        if self.removed:
            check_known(weights, {}, f"{part} weights")
        about: dict[str, Any] = {
            "layout": [[n, _dtype(part, n, t), list(t.shape)] for n, t in weights.items()],
            "coded": {},
            "same": {},
            "whole": [],
            "left_out": isinstance(weights, Survivors),
        }
        streams: dict[str, list[Tensor]] = {}
        for name, tensor in weights.items():
            values = self._numbers(part, name, on_cpu(tensor), about)
            if (place := self._place(f"{part}/{name}", values)) is not None:
                about["same"][name] = place
            else:
                streams.setdefault(dtype_name(values), []).append(values)
        for dtype, values_of in streams.items():
            about["coded"][dtype], data = pack_values(values_of)
            if data:
                self.tensors[f"{part}/{dtype}"] = as_tensor(data)
        return about

    def _numbers(self, part: str, name: str, tensor: Tensor, about: dict[str, Any]) -> Tensor:
        """The numbers of a tensor that are written, in its order. What is 0 where the mask removes
        is known without being written (−0 becomes +0, but with ``removed``).
        """
        values = tensor.reshape(-1)
        if name in self.mask:
            keep = self.mask[name].cpu()
            rest = kept_of(tensor, ~keep)
            if self.removed and bool(as_tensor(number_bytes(rest)).any()):
                about["whole"].append(name)
            else:
                about["left_out"] |= not are_zero(rest)
                values = kept_of(tensor, keep)
        return _halved(part, name, values) if self.half else values

    def _place(self, here: str, values: Tensor) -> str | None:
        """Where equal numbers stand already, None if they do not."""
        if values.numel() * values.element_size() < _SHARED:
            return None
        key = f"{values.dtype} {hashlib.sha256(number_bytes(values)).hexdigest()}"
        place = self.places.setdefault(key, here)
        return None if place == here else place


def stored_dtype(dtype: torch.dtype, half: bool) -> torch.dtype:
    """The dtype in which numbers of a dtype are written."""
    return torch.float16 if half and dtype.is_floating_point and dtype.itemsize > 2 else dtype


def _halved(part: str, name: str, values: Tensor) -> Tensor:
    """UserError for a number that float16 cannot hold; those below 6e-8 become 0."""
    rounded = values.to(stored_dtype(values.dtype, half=True))
    if rounded.dtype != values.dtype:
        large = values.isfinite() & ~rounded.isfinite()
        if bool(large.any()):
            worst = float(values[large].abs().max())
            raise UserError(
                f"{part} weights: {name!r} has a value of {worst:.6g}, and float16 ends at "
                f"{_LARGEST:.0f}: save the ticket without half"
            )
    return rounded


def _dtype(part: str, name: str, tensor: Tensor) -> str:
    try:
        return dtype_name(tensor)
    except ValueError as error:
        raise UserError(f"{part} weights: {name!r}: {error}") from None
