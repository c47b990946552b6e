"""The exact top k of several score tensors: no concatenated copy, no sort, no quantile.

Float bits become integers that sort in the same order; a radix selection finds the k-th largest
with one histogram of 16 bits a pass, chunk by chunk. Memory beyond the result is a few chunks. What
is no more than a chunk in all is partitioned at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.errors import UserError

CHUNK = 1 << 20  # elements that are held as keys at a time
DIGIT = 16  # bits of a key that one pass looks at


def keep_largest(
    scores: Mapping[str, Tensor], count: int, candidates: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Bool tensors, shaped like the scores, that keep exactly ``count`` of the candidates.

    The largest scores stay. Equal scores: the lower index wins (position in the mapping, then flat
    row-major index); −0.0 equals 0.0. float16 and bfloat16 compare as float32; if any tensor is
    float64 or not floating, all compare as float64 (integers above 2⁵³ are rounded).

    ``candidates``: name -> bool tensor; default everything. Others are never kept nor looked at.
    Raises UserError for NaN or infinite candidates, with the parameter's name, and for a count
    outside 0 … number of candidates.
    """
    wide = any(_is_wide(name, tensor) for name, tensor in scores.items())
    chosen = {name: _chosen(scores[name], name, candidates) for name in scores}
    available = sum(check_finite(name, scores[name], chosen[name]) for name in scores)
    if not 0 <= count <= available:
        raise UserError(f"cannot keep {count} of {available} weights: give 0 to {available}")

    def keys() -> Iterator[Tensor]:
        for name, tensor in scores.items():
            for _, part in _keys(tensor, chosen[name], wide):
                yield part

    threshold, ties = None, 0
    if count and available <= CHUNK and all(s.device.type == "cpu" for s in scores.values()):
        threshold, ties = _kth_of_few(np.concatenate([part.numpy() for part in keys()]), count)
    elif count:
        threshold, ties = _kth_largest(keys, count, 64 if wide else 32)
    kept = {}
    for name, tensor in scores.items():
        kept[name], used = _at_least(tensor, chosen[name], wide, threshold, ties)
        ties -= used
    return kept


def largest(scores: Tensor, count: int) -> Tensor:
    """A bool tensor that keeps the ``count`` largest of one tensor, as `keep_largest` does.

    For every step of a training: one partition of a copy, no check for NaN. Equal scores: the lower
    index wins; −0.0 equals 0.0. ``count`` is 0 to the number of scores.
    """
    flat = scores.detach().reshape(-1)
    if count in (0, flat.numel()):
        return torch.full_like(scores, count > 0, dtype=torch.bool)
    if flat.device.type == "cpu" and flat.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(_largest(flat.numpy(), count)).reshape(scores.shape)
    threshold = flat.kthvalue(flat.numel() - count + 1).values
    kept = flat >= threshold
    if (surplus := int(kept.count_nonzero()) - count) > 0:
        kept[(flat == threshold).nonzero()[-surplus:, 0]] = False
    return kept.reshape(scores.shape)


def keep_in_rows(
    name: str, scores: Tensor, counts: Tensor, candidates: Tensor | None = None
) -> Tensor:
    """A bool matrix that keeps of row i of ``scores`` (rows, columns) exactly ``counts[i]``.

    Order, ties and types as in `keep_largest`, in each row for itself; ``candidates`` (rows,
    columns): others are never kept nor looked at. None of them may be NaN or infinite (see
    `check_finite`), and each row must have as many as it keeps.
    """
    wide = _is_wide(name, scores)
    kept = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    places = torch.arange(scores.shape[1], device=scores.device)
    step = max(1, CHUNK // max(scores.shape[1], 1))
    for start in range(0, scores.shape[0], step):
        rows = slice(start, start + step)
        keys = _ordered(scores[rows].detach(), wide)
        if candidates is not None:  # no finite number has the least of all keys
            keys = keys.masked_fill(~candidates[rows], torch.iinfo(keys.dtype).min)
        order = keys.sort(dim=1, descending=True, stable=True).indices
        kept[rows] = kept[rows].scatter(1, order, places < counts[rows, None])
    return kept


def _largest(values: NDArray[Any], count: int) -> NDArray[np.bool_]:
    """By numpy's vectorised selection, which takes a tenth of torch.kthvalue's time."""
    place = values.size - count
    threshold = np.partition(values, place)[place]
    kept: NDArray[np.bool_] = values >= threshold
    if (surplus := int(np.count_nonzero(kept)) - count) > 0:
        kept[np.flatnonzero(values == threshold)[-surplus:]] = False
    return kept


def _is_wide(name: str, tensor: Tensor) -> bool:
    if tensor.is_complex():
        raise UserError(f"scores of {name!r} are complex: give real numbers, e.g. their abs()")
    return not tensor.is_floating_point() or tensor.dtype == torch.float64


def _chosen(score: Tensor, name: str, candidates: Mapping[str, Tensor] | None) -> Tensor | None:
    if candidates is None:
        return None
    if name not in candidates or candidates[name].shape != score.shape:
        found = list(candidates[name].shape) if name in candidates else "none"
        raise UserError(f"candidates of {name!r}: need shape {list(score.shape)}, got {found}")
    return candidates[name].to(score.device).reshape(-1)


def check_finite(name: str, score: Tensor, chosen: Tensor | None = None) -> int:
    """The number of candidates, ``chosen`` (1-d) or all; UserError if one is NaN or infinite."""
    flat, bad, first, number = score.detach().reshape(-1), 0, -1, 0
    for start in range(0, flat.numel(), CHUNK):
        faulty = ~torch.isfinite(flat[start : start + CHUNK])
        if chosen is not None:
            faulty &= chosen[start : start + CHUNK]
            number += int(chosen[start : start + CHUNK].count_nonzero())
        found = int(faulty.count_nonzero())
        if found and first < 0:
            first = start + int(faulty.nonzero()[0])
        bad += found
    if bad:
        index = [int(i) for i in torch.unravel_index(torch.tensor(first), score.shape)]
        raise UserError(
            f"scores of {name!r}: {bad} of {flat.numel()} are NaN or infinite, the first at "
            f"{index}. Check the weights, the data and the loss that they were computed from."
        )
    return flat.numel() if chosen is None else number


def _keys(score: Tensor, chosen: Tensor | None, wide: bool) -> Iterator[tuple[int, Tensor]]:
    """(start, keys of the candidates) of each chunk."""
    flat = score.detach().reshape(-1)
    for start in range(0, flat.numel(), CHUNK):
        keys = _ordered(flat[start : start + CHUNK], wide)
        yield start, keys if chosen is None else keys[chosen[start : start + CHUNK]]


def _ordered(values: Tensor, wide: bool) -> Tensor:
    """Signed integers in the order of the values, which must not be NaN."""
    floats = values.to(torch.float64 if wide else torch.float32) + 0.0  # + 0.0: −0.0 becomes 0.0
    bits = floats.view(torch.int64 if wide else torch.int32)
    # Negative floats grow downwards in their bits: flip all but the sign.
    return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF if wide else (bits >> 31) & 0x7FFFFFFF)


def _kth_of_few(keys: NDArray[Any], count: int) -> tuple[int, int]:
    """As `_kth_largest`, of keys that are held together: one partition, which reorders them."""
    place = len(keys) - count
    keys.partition(place)
    threshold = keys[place]
    return int(threshold), count - int(np.count_nonzero(keys > threshold))


def _kth_largest(keys: Callable[[], Iterator[Tensor]], count: int, bits: int) -> tuple[int, int]:
    """The count-th largest key, and how many keys equal to it belong to the count largest."""
    prefix, wanted = 0, count
    for shift in range(bits - DIGIT, -1, -DIGIT):
        top = shift == bits - DIGIT
        histogram = _histogram(keys, shift, None if top else prefix)
        digit, wanted = _digit_of(histogram, wanted)
        prefix = digit - (1 << (DIGIT - 1)) if top else (prefix << DIGIT) + digit
    return prefix, wanted


def _histogram(keys: Callable[[], Iterator[Tensor]], shift: int, prefix: int | None) -> Tensor:
    """Counts of the digit at ``shift`` among the keys with this prefix (None: all keys)."""
    total = torch.zeros(1 << DIGIT, dtype=torch.int64)
    for part in keys():
        matching = part if prefix is None else part[part >> (shift + DIGIT) == prefix]
        digits = (matching >> shift) & ((1 << DIGIT) - 1)
        if prefix is None:
            digits = digits ^ (1 << (DIGIT - 1))  # the sign bit: negative keys come first
        total += torch.bincount(digits, minlength=1 << DIGIT).cpu()
    return total


def _digit_of(histogram: Tensor, wanted: int) -> tuple[int, int]:
    """The digit that holds the wanted-th largest, and its rank among the keys of that digit."""
    from_above = histogram.flip(0).cumsum(0)
    place = int(torch.searchsorted(from_above, torch.tensor(wanted)))
    digit = len(histogram) - 1 - place
    return digit, wanted - int(from_above[place] - histogram[digit])


def _at_least(
    score: Tensor, chosen: Tensor | None, wide: bool, threshold: int | None, ties: int
) -> tuple[Tensor, int]:
    """Candidates above the threshold and the first ``ties`` equal to it; how many ties it used."""
    kept = torch.zeros(score.numel(), dtype=torch.bool, device=score.device)
    used = 0
    if threshold is not None:
        for start, keys in _keys(score, None, wide):
            window = slice(start, start + len(keys))
            equal = keys == threshold
            if chosen is not None:
                equal &= chosen[window]
            equal &= equal.cumsum(0) <= ties - used
            above = keys > threshold
            kept[window] = equal | (above if chosen is None else above & chosen[window])
            used += int(equal.count_nonzero())
    return kept.reshape(score.shape), used
