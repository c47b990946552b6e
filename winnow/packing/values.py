"""Numbers of one dtype as bytes: as they lie in memory, or plane by plane and deflated.

A plane has one byte of every number: that of sign and exponent shrinks, as weights are of few
magnitudes, and those of the mantissa do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from winnow.packing.deflate import deflated, inflated

_NAMES = (
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)
DTYPES: dict[str, torch.dtype] = {n: getattr(torch, n) for n in _NAMES if hasattr(torch, n)}
"""What can be packed, by name: whatever torch has that is plain numbers."""

CODED = ("plain", "deflated planes")


def dtype_name(tensor: Tensor) -> str:
    """The name in `DTYPES`. ValueError for a tensor that is not plain numbers in memory."""
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in DTYPES or tensor.layout != torch.strided or tensor.is_meta:
        kind = "on the meta device" if tensor.is_meta else f"{tensor.layout}, {tensor.dtype}"
        raise ValueError(f"a tensor that is {kind} cannot be packed")
    return name


def pack_values(parts: Sequence[Tensor]) -> tuple[str, bytes]:
    """The shorter coding of 1-d tensors of one dtype, one after the other, and its bytes."""
    plain = b"".join(number_bytes(part) for part in parts)
    size = parts[0].element_size() if parts else 1
    columns = np.frombuffer(plain, dtype=np.uint8).reshape(-1, size)
    packed = deflated([columns[:, place].tobytes() for place in range(size)])
    return ("deflated planes", packed) if len(packed) < len(plain) else ("plain", plain)


def unpack_values(coding: str, data: bytes, dtype: str, count: int) -> Tensor:
    """A 1-d tensor of so many numbers. ValueError for bytes that are not those."""
    if coding not in CODED:
        raise ValueError(f"numbers are coded as one of {', '.join(CODED)}, and these as {coding!r}")
    if dtype not in DTYPES:
        raise ValueError(f"there is no dtype {dtype!r} here")
    size = DTYPES[dtype].itemsize
    if coding == "deflated planes":
        data = inflated(data, count * size)
    if len(data) != count * size:
        raise ValueError(f"{len(data)} bytes are not those of {count} numbers of {dtype}")
    lying = np.frombuffer(data, dtype=np.uint8)
    if coding == "deflated planes":
        lying = lying.reshape(size, count).T
    numbers = torch.from_numpy(np.array(lying, order="C").reshape(-1))
    if dtype == "bool" and bool((numbers > 1).any()):
        raise ValueError("a bool is neither 0 nor 1")
    return numbers.view(DTYPES[dtype])


def number_bytes(part: Tensor) -> bytes:
    """The numbers of a tensor as they lie in memory, in row-major order."""
    if part.numel() == 0:  # whose stride may be 0, of which torch makes no bytes
        return b""
    whole = part.reshape(-1).clone(memory_format=torch.contiguous_format)
    return whole.view(torch.uint8).numpy().tobytes()


def on_cpu(tensor: Tensor) -> Tensor:
    """The tensor without its gradient and without lazy signs, in this machine's memory."""
    return tensor.detach().cpu().resolve_conj().resolve_neg()


def kept_of(tensor: Tensor, keep: Tensor) -> Tensor:
    """The numbers of a tensor where a bool tensor of its shape is True: 1-d, row-major, any dtype.

    torch indexes no float8 and few unsigned dtypes, so what is indexed are integers of their size.
    """
    flat = tensor.contiguous().reshape(-1)
    return _integers(flat)[keep.reshape(-1)].reshape(-1).view(flat.dtype)


def spread_to(values: Tensor, keep: Tensor) -> Tensor:
    """The inverse of `kept_of`: a tensor of the shape of ``keep``, 0 where that is False."""
    size = keep.numel() * values.element_size()
    dense = torch.zeros(size, dtype=torch.uint8).view(values.dtype)
    _integers(dense)[keep.reshape(-1)] = _integers(values)
    return dense.reshape(keep.shape)


def are_zero(tensor: Tensor) -> bool:
    """Whether all numbers are 0 or −0, of any dtype."""
    parts = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return not bool(parts.to(torch.float64).any())


def _integers(flat: Tensor) -> Tensor:
    """A 1-d tensor as integers of the same size, (numbers, integers of each), sharing memory."""
    size = flat.element_size()
    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32}
    return flat.view(kinds.get(size, torch.int64)).reshape(len(flat), max(1, size // 8))


def as_tensor(data: bytes) -> Tensor:
    """Bytes as a uint8 tensor."""
    return torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy())


def as_bytes(tensor: Tensor) -> bytes:
    """The bytes of `as_tensor`. ValueError for another tensor."""
    if tensor.dtype != torch.uint8 or tensor.dim() != 1:
        raise ValueError(f"a tensor {list(tensor.shape)} of {tensor.dtype} is no row of bytes")
    return tensor.numpy().tobytes()
