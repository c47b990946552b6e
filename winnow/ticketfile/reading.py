"""Weights from the tensors of bytes and the description that `winnow.ticketfile.writing` made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from winnow.mask import Mask
from winnow.packing.bound import check_described
from winnow.packing.values import DTYPES, as_bytes, spread_to, unpack_values
from winnow.survivors import Survivors
from winnow.ticketfile.layers import checked_shape
from winnow.ticketfile.writing import stored_dtype


class _Entry(NamedTuple):
    """A tensor as it is described: how many numbers are written of it, and in which dtype."""

    dtype: torch.dtype
    shape: list[int]
    stored: str
    numbers: int
    keep: Tensor | None


class TicketReader:
    """Reads one part after the other; later ones may name numbers of earlier ones."""

    def __init__(self, tensors: Mapping[str, Tensor], mask: Mask, half: bool) -> None:
        self._tensors = tensors
        self._mask = mask
        self._half = half
        self._places: dict[str, Tensor] = {}

    def read(self, part: str, about: Mapping[str, Any], layout: Sequence[Any]) -> dict[str, Tensor]:
        """The weights of a part. ValueError, KeyError, TypeError or AttributeError for what does
        not fit together.
        """
        entries = self._entries(layout, about["whole"])
        same: Mapping[str, str] = about["same"]
        streams = self._streams(part, entries, same, about["coded"])
        found: dict[str, Tensor] = {}
        for name, entry in entries.items():
            if name in same:
                values = self._places[same[name]]
            else:
                values, streams[entry.stored] = streams[entry.stored].tensor_split([entry.numbers])
                self._places[f"{part}/{name}"] = values
            found[name] = _tensor(name, entry, values)
        return Survivors(found, self._mask) if about["left_out"] else found

    def _entries(self, layout: Sequence[Any], whole: Sequence[str]) -> dict[str, _Entry]:
        entries: dict[str, _Entry] = {}
        check_described(sum(math.prod(checked_shape(n, s)) for n, _, s in layout), self._tensors)
        for name, dtype, shape in layout:
            if name in entries or dtype not in DTYPES:
                raise ValueError(f"{name!r} stands there twice, or with the dtype {dtype!r}")
            keep = None if name in whole or name not in self._mask else self._mask[name]
            if keep is not None and list(keep.shape) != shape:
                raise ValueError(f"{name!r} is {shape}, and its mask {list(keep.shape)}")
            size = math.prod(checked_shape(name, shape))
            count = size if keep is None else int(keep.count_nonzero())
            stored = str(stored_dtype(DTYPES[dtype], self._half)).removeprefix("torch.")
            entries[name] = _Entry(DTYPES[dtype], shape, stored, count, keep)
        return entries

    def _streams(
        self,
        part: str,
        entries: Mapping[str, _Entry],
        same: Mapping[str, str],
        coded: Mapping[str, str],
    ) -> dict[str, Tensor]:
        """All numbers of each dtype that are written for a part."""
        counts: dict[str, int] = {}
        for name, entry in entries.items():
            if name not in same:
                counts[entry.stored] = counts.get(entry.stored, 0) + entry.numbers
        if counts.keys() != coded.keys() or not same.keys() <= entries.keys():
            raise ValueError(f"{part} weights: {list(coded)} are written, and not {list(counts)}")
        return {
            dtype: unpack_values(coding, self._written(part, dtype), dtype, counts[dtype])
            for dtype, coding in coded.items()
        }

    def _written(self, part: str, dtype: str) -> bytes:
        tensor = self._tensors.get(f"{part}/{dtype}")
        return b"" if tensor is None else as_bytes(tensor)


def _tensor(name: str, entry: _Entry, values: Tensor) -> Tensor:
    if str(values.dtype) != f"torch.{entry.stored}" or len(values) != entry.numbers:
        here = f"{len(values)} of {values.dtype}"
        raise ValueError(f"{name!r} has {entry.numbers} numbers of {entry.stored}, and not {here}")
    values = values.to(entry.dtype)
    return values.reshape(entry.shape) if entry.keep is None else spread_to(values, entry.keep)
