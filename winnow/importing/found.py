"""What a layout's files hold, before it is checked; and the reading of files, with hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from winnow.errors import UserError
from winnow.files import open_regular
from winnow.importing.reading import read_torch

_TIED = 4  # names that a stored number may have
_FREE = 2**20  # bytes that may have any number of names


@dataclass(frozen=True)
class ForeignTicket:
    """Masks as they were written, by parameter name; full state_dicts; what to remember."""

    masks: Mapping[str, Tensor]
    rewind: Mapping[str, Tensor]
    final: Mapping[str, Tensor] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


class Reader:
    """Reads files; ``hashes`` has the SHA-256 of each that was used, by file name."""

    def __init__(self) -> None:
        self.hashes: dict[str, str] = {}

    def read(self, path: Path, name: str = "") -> Any:
        """The content of a torch file. ``name``: what to call it, where its own is not enough."""
        with open_regular(path) as file:
            data = file.read()
        content = read_torch(data, path)
        self.hashes[name or path.name] = hashlib.sha256(data).hexdigest()
        return content

    def forget(self, name: str) -> None:
        """Take out a file that was read and not used."""
        self.hashes.pop(name, None)


@dataclass(frozen=True)
class Layout:
    """How another project writes tickets.

    ``recognises(file, content)``: whether a file that holds this is one of its own.
    ``find(file, content, reader)``: masks and weights; UserError if the content is something else.
    ``main``: the file of a folder to begin with; None where a folder has many.
    """

    recognises: Callable[[Path, object], bool]
    find: Callable[[Path, object, Reader], ForeignTicket]
    main: str | None = None


def is_plain_tensor(value: object) -> bool:
    """Whether it is a tensor of numbers: not sparse, quantized or without data."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_quantized or value.is_nested or value.is_meta)
    )


def is_state(content: object) -> bool:
    """Whether it is a mapping from names to plain tensors, with at least one."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(n, str) and is_plain_tensor(t) for n, t in content.items())
    )


def state_dict_in(what: str, content: object) -> dict[str, Tensor]:
    """A plain dictionary of ``content``; UserError unless it is a state_dict."""
    if not is_state(content):
        raise UserError(f"{what} is no dictionary of plain tensors by name")
    assert isinstance(content, Mapping)
    check_shared(what, content)
    return dict(content)


def check_shared(what: str, tensors: Mapping[Any, object]) -> None:
    """UserError where many names stand for the same few stored numbers.

    Each name is a tensor of its own in a ticket; weights that are tied have two or three.
    """
    plain = [t for t in tensors.values() if isinstance(t, Tensor) and is_plain_tensor(t)]
    storages = (tensor.untyped_storage() for tensor in plain)
    stored = sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
    named = sum(tensor.nbytes for tensor in plain)
    if named > _TIED * stored + _FREE:
        raise UserError(
            f"{what} has {named:,} bytes by name, {stored:,} stored ones many times over: "
            "save tensors of their own"
        )


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The names without a prefix that all of them carry (``module.`` of parallel training)."""
    if all(name.startswith(prefix) for name in tensors):
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return dict(tensors)


def binary(name: str, values: object) -> Tensor:
    """A mask of numbers or booleans as bool; UserError unless every entry is exactly 0 or 1."""
    if not isinstance(values, Tensor):
        raise UserError(f"the mask of {name!r} is a {type(values).__name__}, not a tensor")
    if not is_plain_tensor(values):
        raise UserError(
            f"the mask of {name!r} is no plain tensor: it is sparse, quantized or without data"
        )
    kept = values == 1
    wrong = values[~kept & (values != 0)]
    if wrong.numel():
        raise UserError(
            f"the mask of {name!r} must be 0 or 1: {wrong.numel()} of its {values.numel()} entries "
            f"are not, e.g. {wrong[0].item()!r}"
        )
    return kept
