"""Starting from trained weights: a module, a state_dict, a file, or a network trained by Winnow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from winnow.digest import read_json
from winnow.errors import UserError
from winnow.mask import header_of
from winnow.selection import uncompiled
from winnow.state import State, check_writable
from winnow.survivors import check_known

Pretrained = nn.Module | State | Mapping[str, Any] | str | os.PathLike[str]

_INSIDE = ("state_dict", "model_state_dict", "model", "net")  # where checkpoints keep weights
_PREFIXES = ("module.", "_orig_mod.")  # of data-parallel and compiled networks
_COUNTER = ".num_batches_tracked"  # absent in files of early torch; a mean does not need it


def load_pretrained(model: nn.Module, source: Pretrained) -> None:
    """Copy all parameters and buffers of ``source`` into a model of the same names and shapes.

    ``source``: a module; a state_dict, or a checkpoint that has one under ``state_dict``,
    ``model_state_dict``, ``model`` or ``net``; a ``State``; or the path of

    - a safetensors file: plain, a ticket (its final weights, else those it rewinds to), or a
      state that Winnow stored, such as ``final.safetensors``; or a run's folder with that in it;
    - a file of ``torch.save``, read without running any code in it.

    The prefixes ``module.`` and ``_orig_mod.`` are taken off where all names have them. Values are
    converted to the model's dtypes. Raises UserError, and leaves the model untouched, for missing,
    unexpected and wrong-shaped names, all told, and for a ticket whose file has left removed
    weights out, for a model on the meta device; FileNotFoundError when there is no file.
    """
    where, given = _read(source)
    own = dict(uncompiled(model).state_dict(keep_vars=True))
    theirs = _plain_names(_tensors(given, where))
    _check(own, theirs, where)
    check_writable({name: own[name] for name in theirs})
    with torch.no_grad():
        for name, value in theirs.items():
            own[name].copy_(value)


def _read(source: Pretrained) -> tuple[str, Mapping[str, Any]]:
    if isinstance(source, nn.Module):
        return f"the {type(source).__name__}", uncompiled(source).state_dict()
    if isinstance(source, State):
        return "the state", {**source.weights, **source.buffers}
    if isinstance(source, Mapping):
        return "the state_dict", source
    path = Path(source)
    path = path / "final.safetensors" if path.is_dir() else path
    if path.suffix == ".safetensors":
        return str(path), _safetensors(path)
    return str(path), _pickled(path)


def _safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = path.read_bytes()
    kind = _kind(data)
    try:
        if kind == "ticket":
            return _of_ticket(path)
        if kind == "state":
            return _of_state(path, data)
        if kind is None:
            return load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged or no safetensors file: {error}") from error
    raise UserError(f"{path} holds a {kind}, which has no weights: give a ticket or a state")


def _kind(data: bytes) -> str | None:
    """What Winnow says a safetensors file is; None for those of others."""
    try:
        return str(read_json(header_of(data)["__metadata__"]["winnow"])["kind"])
    except (ValueError, KeyError, TypeError):
        return None


def _of_ticket(path: Path) -> Mapping[str, Tensor]:
    from winnow.ticket import load

    ticket = load(path)
    return ticket.rewind if ticket.final is None else ticket.final


def _of_state(path: Path, data: bytes) -> Mapping[str, Tensor]:
    from winnow.statefile import read_state

    state = read_state(data, str(path))
    return {**state.weights, **state.buffers}


def _pickled(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for what is no checkpoint
        raise UserError(
            f"{path} is no safetensors file, and torch cannot read it as plain tensors: {error}"
        ) from error
    if not isinstance(found, Mapping):
        raise UserError(f"{path} holds a {type(found).__name__}, not a state_dict")
    return found


def _tensors(given: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    inside = next((k for k in _INSIDE if isinstance(given.get(k), Mapping)), None)
    values = given if inside is None else given[inside]
    check_known(values, {}, where)
    for name, value in values.items():
        if not isinstance(value, Tensor):
            raise UserError(f"{where}: {name!r} is a {type(value).__name__}, not a tensor")
    return dict(values)


def _plain_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return _plain_names({n.removeprefix(prefix): t for n, t in tensors.items()})
    return tensors


def _check(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], where: str) -> None:
    missing = [n for n in own if n not in theirs and not n.endswith(_COUNTER)]
    unexpected = [n for n in theirs if n not in own]
    shaped = [
        f"{n!r} is {list(theirs[n].shape)} there and {list(own[n].shape)} in the model"
        for n in own
        if n in theirs and theirs[n].shape != own[n].shape
    ]
    faults = [f"missing {_some(missing)}"] if missing else []
    faults += [f"unexpected {_some(unexpected)}"] if unexpected else []
    faults += shaped[:3] + ([f"{len(shaped) - 3} more shapes differ"] if len(shaped) > 3 else [])
    if faults:
        raise UserError(f"{where} is for another network: {'; '.join(faults)}")


def _some(names: list[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more
