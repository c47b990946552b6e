"""Hostile files with a digest that fits: what a digest cannot refuse, loaders have to.

Of a safetensors file fuzzing changes an envelope: a line of JSON, ``{"about": metadata, "tensors":
{name: [dtype, shape]}}``, and the bytes of all tensors, of which missing ones are 0.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

import torch

from winnow.digest import sealed_json
from winnow.experiment.runs import load_run
from winnow.mask import from_bytes, to_bytes
from winnow.packing.values import DTYPES

_LARGEST = 1 << 16  # bytes of the tensors of an envelope
_PLACE = re.compile(b"winnow-sha256:[0-9a-f]{64}")


def envelope(kind: str, data: bytes) -> bytes:
    """A whole file as an envelope."""
    tensors, about = from_bytes(kind, data, "here")
    rest = {k: v for k, v in about.items() if k not in ("kind", "format", "digest", "checksum")}
    told = {n: [str(t.dtype).removeprefix("torch."), list(t.shape)] for n, t in tensors.items()}
    numbers = b"".join(t.reshape(-1).view(torch.uint8).numpy().tobytes() for t in tensors.values())
    return json.dumps({"about": rest, "tensors": told}).encode() + b"\n" + numbers


def of_envelope(kind: str, data: bytes) -> bytes:
    """The file of an envelope; what is none stays as it is."""
    line, _, numbers = data.partition(b"\n")
    try:
        plain = json.loads(line)
        tensors = _tensors(plain["tensors"], numbers)
        return to_bytes(kind, tensors, plain["about"])
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, ArithmeticError):
        return data


def _tensors(told: dict[str, Any], numbers: bytes) -> dict[str, torch.Tensor]:
    tensors, begin = {}, 0
    for name, (dtype, shape) in told.items():
        kind = DTYPES[dtype]  # others, such as qint8, are in no safetensors file
        size = math.prod(shape) * kind.itemsize
        if not 0 <= size <= _LARGEST:
            raise ValueError(f"{size} bytes")
        part = bytearray(numbers[begin : begin + size].ljust(size, b"\0"))
        tensor = torch.frombuffer(part, dtype=kind) if size else torch.zeros(0, dtype=kind)
        tensors[name] = tensor.reshape(shape)
        begin += size
    return tensors


def sealed(data: bytes) -> bytes:
    """A JSON file with a digest that fits; what is none stays as it is."""
    try:
        plain = json.loads(data)
        plain.pop("digest", None)
        return sealed_json(plain).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return data


def run_files(data: bytes) -> tuple[bytes, bytes]:
    """``run.json`` and ``result.json`` of two lines of JSON, with hashes that fit."""
    line, _, numbers = data.partition(b"\n")
    try:
        about = json.loads(line)
        about.pop("digest", None)
        about["result"] = hashlib.sha256(numbers).hexdigest()
        about["id"] = load_run(about["run"]).id
        return sealed_json(about).encode(), numbers
    except Exception:
        return sealed(line), numbers


def table(data: bytes) -> bytes:
    """A Parquet file with a digest that fits."""
    found = list(_PLACE.finditer(data))
    if not found:
        return data
    at = found[-1].end() - 64
    zeroed = data[:at] + b"0" * 64 + data[at + 64 :]
    return data[:at] + hashlib.sha256(zeroed).hexdigest().encode() + data[at + 64 :]
