"""Small torch files that ask for much, for tests: a pickle's operations are written by hand."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn


class Call:
    """Pickled as the call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def shared(depth: int) -> nn.Module:
    """Modules each of which is twice in the next: 2^depth names."""
    module: nn.Module = nn.Sequential(nn.Linear(2, 2))
    for _ in range(depth):
        module = nn.Sequential(module, module)
    return module


def nested(depth: int) -> Any:
    """Tuples each of which is twice in the next: its hash visits 2^depth."""
    made: Any = ("a", "b")
    for _ in range(depth):
        made = (made, made)
    return made


def parts_of(content: object) -> dict[str, bytes]:
    """The records of a torch file."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(buffer) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: Mapping[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def cut_storage(content: object) -> bytes:
    """A torch file whose first storage has four bytes, whatever its pickle says."""
    parts = parts_of(content)
    (record,) = (name for name in parts if name.endswith("/data/0"))
    return zipped(parts | {record: parts[record][:4]})


def two_directories(good: bytes, bad: bytes) -> bytes:
    """An archive that ends in the list of parts of one, and points to that of another.

    Readers that look before the end see the first, those that follow the number the second.
    """
    begin = struct.unpack("<L", bad[-6:-2])[0]
    size = struct.unpack("<L", bad[-10:-6])[0]
    listed = struct.unpack("<L", good[-6:-2])[0]
    end = bytearray(good[-22:])
    end[12:16] = struct.pack("<L", size)
    end[16:20] = struct.pack("<L", begin)
    return bad[:-22] + good[listed:-22] + bytes(end)


class ChangedLater:
    """A tensor of four stored numbers that is told afterwards to be one of 10^10."""

    def __reduce__(self) -> Any:
        storage = torch.ones(2, 2).storage()
        arguments = storage, 0, (2, 2), (2, 1), False, OrderedDict()
        return torch._utils._rebuild_tensor_v2, arguments, (storage, 0, (10**9, 10), (0, 0))


def hostile(folder: Path) -> dict[str, Path]:
    """All of them, by what they are."""
    weight, ones = torch.zeros(1), torch.ones(1)
    wide = weight.expand(90_000, 90_000)
    kept = {"fc.weight": torch.ones(2, 2)}
    saved: dict[str, Any] = {
        "expanded weight": {"net": {"fc.weight": wide}, "mask": kept},
        "expanded mask": {"net": kept, "mask": {"fc": ones.expand(90_000, 90_000)}},
        "expanded parameter": {"net": {"fc.weight": nn.Parameter(wide)}, "mask": kept},
        "expanded buffer": {"fc.weight": wide, "fc.weight_mask": wide},
        "expanded quantised": {"net": quantised(), "mask": kept},
        "expanded sparse": {"net": {"fc.weight": sparse()}, "mask": kept},
        "shared modules": {"net": shared(40), "mask": {}},
        "many names": {f"a{i}.weight": BIG for i in range(4000)} | {"a.weight_mask": BIG},
        "many masks": {"net": {"fc.weight": BIG}, "mask": {f"a{i}": BIG for i in range(4000)}},
        "tuples as a key": {"net": kept, "mask": Call(OrderedDict, [(nested(60), 1)])},
        "tuples in a set": {"net": kept, "mask": Call(set, (nested(60),))},
        "changed later": {"net": {"fc.weight": ChangedLater()}, "mask": kept},
        "bytearray": {"net": Call(bytearray, 10**10), "mask": {}},
        "a key of many letters": {"x" * 10**6: 1, nested(9): 2},
        "a number of many digits": checkpoint(10**600),
    }
    paths = {}
    for name, content in saved.items():
        for zipped_file in (True, False):
            path = folder / f"{name}, {'zip' if zipped_file else 'old'}.pt"
            torch.save(content, path, _use_new_zipfile_serialization=zipped_file)
            paths[path.stem] = path
    zeros = parts_of({"net": {"fc.weight": torch.zeros(2**21)}, "mask": kept})
    small = {"net": {"fc.weight": torch.ones(3, 3)}, "mask": kept}
    made = {
        "deflated": zipped(zeros, zipfile.ZIP_DEFLATED),
        "lzma": zipped(zeros, zipfile.ZIP_LZMA),
        "a storage of other records": cut_storage({"net": {"fc.weight": BIG}, "mask": kept}),
        "two directories": two_directories(
            zipped(parts_of(small)), zipped(zeros, zipfile.ZIP_DEFLATED)
        ),
        "two parts of one name": doubled(parts_of(small), zeros),
        "tensor": called("torch", "FloatTensor", 10**9),
        "storage": called("torch", "UntypedStorage", 2**31 - 1),
        "python 2 bytearray": called("__builtin__", "bytearray", 2**31 - 1),
        "many tuples": zipped({"a/data.pkl": b"\x80\x02)" + b"\x85" * 10**6 + b"."}),
    }
    for name, data in made.items():
        paths[name] = folder / f"{name}.pt"
        paths[name].write_bytes(data)
    return paths


BIG = torch.ones(500, 500)


def checkpoint(epoch: int) -> dict[str, Any]:
    weights = {"model.fc.weight": torch.ones(2, 2), "mask_fc___weight": torch.ones(2, 2)}
    return {"model_state_dict": weights, "ep": epoch, "it": epoch, "epoch": epoch}


def quantised() -> dict[str, Any]:
    plain = torch.quantize_per_tensor(torch.zeros(1), 0.1, 0, torch.qint8)
    return {"fc.weight": torch.as_strided(plain, (90_000, 90_000), (0, 0))}


def sparse() -> torch.Tensor:
    indices = torch.zeros(2, 1, dtype=torch.int64).expand(2, 10**9)
    values = torch.zeros(1).expand(10**9)
    return torch.sparse_coo_tensor(indices, values, (5, 5), check_invariants=False)


def doubled(first: Mapping[str, bytes], second: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in first.items():
            archive.writestr(name, data)
        for name, data in second.items():
            archive.writestr(name.upper() if name.endswith("pkl") else f"{name}x", data)
    return buffer.getvalue()


def called(module: str, name: str, argument: int) -> bytes:
    """A torch file that calls a function with a number."""
    call = f"c{module}\n{name}\n".encode() + b"J" + struct.pack("<i", argument) + b"\x85R"
    return zipped({"a/data.pkl": b"\x80\x02}X\x03\x00\x00\x00net" + call + b"s.", "a/v": b"3"})


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path
