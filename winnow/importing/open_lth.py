"""Folders of facebookresearch/open_lth.

level_N/main/ holds mask.pth, parameter name -> int32 tensor of 0 and 1 for each convolution and
linear layer; sparsity_report.json with two counts; and model_ep{E}_it{I}.pth, state_dicts from
before and after training. The model of a pruned level is written with its removed weights at
zero, so that the values which they had are only in level_0. During training there is
checkpoint.pth: weights under "model." and masks as buffers "mask_" + name with "___" for ".".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from winnow.errors import UserError
from winnow.files import open_regular
from winnow.importing.found import (
    ForeignTicket,
    Layout,
    Reader,
    binary,
    is_state,
    state_dict_in,
    without_prefix,
)

_MODEL = re.compile(r"model_ep(\d+)_it(\d+)\.pth")
_CHECKPOINT = "model_state_dict"
_REPORT = 2**16  # bytes of a sparsity_report.json, which has two numbers


def _recognises(file: Path, content: object) -> bool:
    """A mask, a model beside its mask, or a checkpoint of training."""
    if not isinstance(content, Mapping):
        return False
    if _CHECKPOINT in content:
        return True
    if _MODEL.fullmatch(file.name) and (file.parent / "mask.pth").exists():
        return is_state(content)
    return is_state(content) and _is_mask(content)


def _find(file: Path, content: object, reader: Reader) -> ForeignTicket:
    """Masks and weights of a level; UserError if the content is something else."""
    if isinstance(content, Mapping) and _CHECKPOINT in content:
        return _checkpoint(content)
    if _MODEL.fullmatch(file.name):
        masks = state_dict_in("mask.pth", reader.read(file.parent / "mask.pth"))
        _check_report(file.parent, masks)
        rewind = _with_removed(file, masks, state_dict_in(file.name, content), reader)
        return ForeignTicket(masks, rewind, about={"rewind": file.name})
    masks = state_dict_in(file.name, content)
    _check_report(file.parent, masks)
    return _level(file.parent, masks, reader)


def _is_mask(content: Mapping[str, Tensor]) -> bool:
    return all(bool(((t == 0) | (t == 1)).all()) for t in content.values())


def _level(folder: Path, masks: dict[str, Tensor], reader: Reader) -> ForeignTicket:
    steps = {
        (int(named[1]), int(named[2])): file
        for file in folder.iterdir()
        if (named := _MODEL.fullmatch(file.name))
    }
    if not steps:
        raise UserError(f"no model_ep*_it*.pth stands beside the mask in {folder}")
    first, last = steps[min(steps)], steps[max(steps)]
    rewind = _with_removed(first, masks, state_dict_in(first.name, reader.read(first)), reader)
    if first == last:
        return ForeignTicket(masks, rewind, about={"rewind": first.name})
    final = state_dict_in(last.name, reader.read(last))
    return ForeignTicket(masks, rewind, final, {"rewind": first.name, "final": last.name})


def _with_removed(
    file: Path, masks: Mapping[str, Tensor], weights: dict[str, Tensor], reader: Reader
) -> dict[str, Tensor]:
    """The same weights with the values that the removed ones had, if level_0 beside has them."""
    level = file.parent.parent
    dense = level.parent / "level_0" / file.parent.name / file.name
    if not level.name.startswith("level_") or level.name == "level_0" or not dense.exists():
        return weights
    name = f"level_0/{file.name}"
    before = state_dict_in(name, reader.read(dense, name))
    if before.keys() == weights.keys() and all(
        _agree(weights[n], before[n], masks.get(n)) for n in weights
    ):
        return before
    reader.forget(name)  # another network, or a later step than the one that is rewound to
    return weights


def _agree(one: Tensor, other: Tensor, mask: Tensor | None) -> bool:
    if one.shape != other.shape or (mask is not None and mask.shape != one.shape):
        return False
    return torch.equal(one, other) if mask is None else torch.equal(one, other * (mask == 1))


def _check_report(folder: Path, masks: Mapping[str, Tensor]) -> None:
    """The two counts that open_lth writes with a mask, where they are there."""
    path = folder / "sparsity_report.json"
    if not path.exists():
        return
    try:
        with open_regular(path) as file:
            report = json.loads(file.read(_REPORT))
        counts = (float(report["unpruned"]), float(report["total"]))
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__}") from error
    kept = sum(int(binary(name, mask).count_nonzero()) for name, mask in masks.items())
    size = sum(mask.numel() for mask in masks.values())
    if counts != (kept, size):
        raise UserError(
            f"mask.pth keeps {kept} of {size} weights, but {path.name} says {counts[0]:g} of "
            f"{counts[1]:g}: they are not of the same run"
        )


def _checkpoint(content: Mapping[str, object]) -> ForeignTicket:
    tensors = without_prefix(state_dict_in(_CHECKPOINT, content[_CHECKPOINT]), "module.")
    weights = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    masks = {}
    for name in weights:
        mask = "mask_" + name.replace(".", "___")
        if mask in tensors:
            masks[name] = tensors[mask]
    epoch, iteration = (content.get(key) for key in ("ep", "it"))
    known = isinstance(epoch, int) and isinstance(iteration, int)
    about = {"rewind": f"epoch {epoch}, iteration {iteration}"} if known else {}
    return ForeignTicket(masks, weights, about=about)


OPEN_LTH = Layout(_recognises, _find, "mask.pth")
