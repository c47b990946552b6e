"""Dropping and growing weights in exact numbers: what the methods share. Ties: the lower index.

Masks and scores are name → tensor; what is kept of a tensor is 1-d, row-major; counts are name →
how many weights of that tensor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from winnow import rng
from winnow.allocation import apportion
from winnow.state import Tensors
from winnow.topk import keep_largest

Counts = Mapping[str, int]


def counted(mask: Tensors) -> dict[str, int]:
    """How many weights each tensor keeps."""
    return {name: int(keep.count_nonzero()) for name, keep in mask.items()}


def room(mask: Tensors) -> dict[str, int]:
    """How many weights each tensor could grow."""
    return {name: keep.numel() - int(keep.count_nonzero()) for name, keep in mask.items()}


def fraction_of(count: int, fraction: float) -> int:
    """The fraction of a count, rounded down (0.29 of 100 is 29, whatever floats say)."""
    return math.floor(fraction * count + 1e-6)


def narrowed(keep: Tensor, stays: Tensor) -> Tensor:
    """The mask of what ``stays`` (1-d, row-major) says of each weight that a mask keeps."""
    return keep.masked_scatter(keep, stays.to(keep.device))


def drop_smallest(values: Tensors, mask: Tensors, counts: Counts) -> dict[str, Tensor]:
    """The mask without the ``counts`` smallest |w| of the ``values`` kept of each tensor."""
    kept: dict[str, Tensor] = {}
    for name, keep in mask.items():
        left = max(len(values[name]) - counts[name], 0)
        stays = keep_largest({name: values[name].abs()}, left)
        kept[name] = narrowed(keep, stays[name])
    return kept


def grow_largest(scores: Tensors, mask: Tensors, counts: Counts) -> dict[str, Tensor]:
    """The mask with the ``counts`` largest scores among what it does not keep in each tensor."""
    grown = {}
    for name, keep in mask.items():
        free = ~keep
        count = min(counts[name], int(free.count_nonzero()))
        grown[name] = keep | keep_largest({name: scores[name]}, count, {name: free})[name]
    return grown


def grow_random(
    mask: Tensors, counts: Counts, seed: int, *path: str | int, barred: Tensors | None = None
) -> dict[str, Tensor]:
    """The mask with ``counts`` random weights more in each tensor, none of them ``barred``.

    Tensor ``name`` draws from the stream (seed, *path, name).
    """
    grown = {}
    for name, keep in mask.items():
        if not counts[name]:
            grown[name] = keep
            continue
        taken = keep if barred is None else keep | barred[name]
        held = taken.reshape(-1).nonzero().squeeze(1)
        both = keep.clone().reshape(-1)
        both[draw_vacant(held, keep.numel(), counts[name], seed, *path, name)] = True
        grown[name] = both.reshape(keep.shape)
    return grown


def draw_vacant(held: Tensor, size: int, count: int, seed: int, *stream: str | int) -> Tensor:
    """``count`` random flat indices of a tensor of ``size``, or all, none of them ``held``.

    ``held``: ascending. Without a list of all that are not: that would be larger than the weights.
    """
    free = size - len(held)
    chosen = rng.stream(seed, *stream).choice(free, min(count, free), replace=False)
    ranks = torch.from_numpy(chosen).to(held.device)
    vacant_before = held - torch.arange(len(held), device=held.device)
    return ranks + torch.searchsorted(vacant_before, ranks, right=True)


def chosen_of(values: Tensor, bits: Tensor) -> Tensor:
    """values[bits], 1-d: numpy is several times faster at it where it can be."""
    if values.device.type != "cpu" or bits.device.type != "cpu":
        return values[bits.to(values.device)]
    return torch.from_numpy(values.numpy()[bits.numpy()])


def merged(held: Tensor, more: Tensor) -> Tensor:
    """Two ascending lists of indices as one."""
    if held.device.type != "cpu":
        return torch.cat((held, more)).sort().values
    old, new = held.numpy(), more.numpy()
    return torch.from_numpy(np.insert(old, np.searchsorted(old, new), new))


def share_out(total: int, shares: Mapping[str, float], caps: Counts) -> dict[str, int]:
    """``total`` in whole numbers proportional to the shares, none above its cap.

    What a full tensor cannot take goes to the others in proportion to their shares; tensors
    without a share (0 or NaN) get some only when all others are full, then in proportion to what
    they can take. Fractions: the largest remainders round up. The caps must have room for it.
    """
    assert total <= sum(caps.values()), (total, caps)
    share = {name: s if math.isfinite(s) and s > 0 else 0.0 for name, s in shares.items()}
    full: set[str] = set()
    while True:
        free = [name for name in caps if name not in full]
        left = total - sum(caps[name] for name in full)
        if left and not any(share[name] for name in free):
            share = {name: float(caps[name]) for name in caps}
        whole = sum(share[name] for name in free)
        quotas = {name: left * share[name] / whole if whole else 0.0 for name in free}
        over = {name for name in free if quotas[name] > caps[name]}
        if not over:
            return apportion({n: quotas.get(n, float(caps[n])) for n in caps}, total, caps)
        full |= over
