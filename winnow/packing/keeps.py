"""Which weights are kept, as bytes: one bit a weight, or the gaps between those that are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.packing.deflate import deflated, inflated

_LONG = 255  # a byte of this value: so many are removed, and the gap goes on
_LARGE = 1 << 20  # bytes: from here on only the shorter coding is deflated, which takes seconds
_Bytes = NDArray[np.uint8]
CODINGS = ("bits", "gaps", "deflated bits", "deflated gaps")


def pack_keep(keep: Tensor) -> tuple[str, bytes]:
    """The shortest coding of a bool tensor, and its bytes; entries are in row-major order.

    ``bits``: 8 entries a byte, the lowest bit first. ``gaps``: for each kept entry how many
    removed ones lie before it and after the last kept one, as bytes of 255 and a smaller one.
    """
    flat = keep.detach().cpu().reshape(-1).numpy()
    plain = {"bits": np.packbits(flat, bitorder="little").tobytes(), "gaps": _gaps(flat).tobytes()}
    shortest = min(plain, key=lambda coding: len(plain[coding]))
    tried = [c for c in plain if c == shortest or len(plain[c]) < _LARGE]
    packed = {f"deflated {coding}": deflated([plain[coding]]) for coding in tried}
    return min((plain | packed).items(), key=lambda item: len(item[1]))


def unpack_keep(coding: str, data: bytes, shape: Sequence[int]) -> Tensor:
    """The bool tensor of this shape. ValueError for bytes that are none of one."""
    size = math.prod(shape)
    if coding not in CODINGS:
        raise ValueError(f"masks are coded as one of {', '.join(CODINGS)}, and this as {coding!r}")
    plain = coding.removeprefix("deflated ")
    if coding != plain:
        data = inflated(data, -(-size // 8) if plain == "bits" else size + size // _LONG)
    coded = np.frombuffer(data, dtype=np.uint8)
    flat = _from_bits(coded, size) if plain == "bits" else _from_gaps(coded, size)
    return torch.from_numpy(flat).reshape(tuple(shape))


def _gaps(flat: NDArray[np.bool_]) -> _Bytes:
    gaps = np.diff(np.flatnonzero(flat), prepend=-1) - 1
    long = gaps // _LONG
    coded = np.full(len(gaps) + int(long.sum()), _LONG, dtype=np.uint8)
    coded[np.cumsum(long + 1) - 1] = gaps % _LONG
    return coded


def _from_gaps(coded: _Bytes, size: int) -> NDArray[np.bool_]:
    if len(coded) > size + size // _LONG or (len(coded) and coded[-1] == _LONG):
        raise ValueError(f"{len(coded)} bytes of gaps are no mask of {size} entries")
    ends = coded != _LONG
    places = (np.cumsum(coded, dtype=np.int64) + np.cumsum(ends))[ends] - 1
    if len(places) and places[-1] >= size:
        raise ValueError(f"the gaps of a mask of {size} entries reach to entry {places[-1]}")
    flat = np.zeros(size, dtype=np.bool_)
    flat[places] = True
    return flat


def _from_bits(coded: _Bytes, size: int) -> NDArray[np.bool_]:
    if len(coded) != -(-size // 8):
        raise ValueError(f"{len(coded)} bytes of bits are no mask of {size} entries")
    bits = np.unpackbits(coded, bitorder="little")
    if bits[size:].any():
        raise ValueError(f"bits are set beyond the end of a mask of {size} entries")
    return bits[:size].astype(np.bool_)
