"""Which entries of a parameter are trained, and how their values move when its mask changes.

Nothing here is dense but masks, as booleans: values and slots go from nonzeros to nonzeros.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from winnow.kernels.arrays import Floats, Int32s, Int64s
from winnow.mask import Mask
from winnow.state import Tensors, newly_kept

Bits = NDArray[np.bool_]
Index = Int32s | Int64s | slice
_ALL = slice(None)


@dataclass(frozen=True)
class Places:
    """The trained entries of a parameter: ``count`` of them.

    ``index``: where they are in the flat parameter, ascending. ``order``: for each of them in the
    order of the kernels, which of the index it is. Either is slice(None) where it changes nothing.
    """

    count: int
    index: Index
    order: Index

    @property
    def whole(self) -> bool:
        """Whether they are the flat parameter as it is."""
        return isinstance(self.index, slice) and isinstance(self.order, slice)

    @property
    def ascending_index(self) -> Int64s:
        """Where they are in the flat parameter."""
        if isinstance(self.index, slice):
            return np.arange(self.count)
        return self.index.astype(np.int64)

    @property
    def flat(self) -> Int64s:
        """Where they are in the flat parameter, in the order of the kernels."""
        return self.ascending_index[self.order]

    @cached_property
    def ranks(self) -> Int64s:
        """For each of them, in the order of the index, which it is in that of the kernels."""
        ranks = np.arange(self.count)
        if not isinstance(self.order, slice):
            ranks[self.order] = np.arange(self.count)
        return ranks

    def of(self, flat: Floats) -> Floats:
        """Their values in a flat parameter, in the order of the kernels."""
        return flat[self.index][self.order]

    def ascending(self, values: Floats) -> Floats:
        """Values in the order of the kernels, in that of the index instead; a copy."""
        return values.take(self.ranks) if len(values) else values.copy()


def places(keep: Bits) -> Places:
    """Those of a mask, any shape, in the order of the index."""
    count = int(np.count_nonzero(keep))
    return Places(count, _ALL if count == keep.size else _short(np.flatnonzero(keep)), _ALL)


def ordered(index: Int64s, size: int, order: Int64s) -> Places:
    """Those at ``index``, ascending, of a parameter of so many entries, in another order."""
    same = np.array_equal(order, np.arange(len(index)))
    return Places(
        len(index),
        _ALL if len(index) == size else _short(index),
        _ALL if same else _short(order),
    )


def changed_index(where: Places, was: Bits, keep: Bits) -> Int64s:
    """The flat indices of ``keep``, ascending, where ``was`` had those of ``where``.

    Most often the two are nearly equal: then this takes a fraction of looking at every entry.
    """
    index = where.ascending_index
    stays = keep.reshape(-1)[index]
    new = _newly(was.reshape(-1), keep.reshape(-1))
    left = index if stays.all() else index[stays]
    merged: Int64s = np.insert(left, np.searchsorted(left, new), new) if len(new) else left
    return merged


_PART = 2**17  # entries: what is compared at once, so that memory stays small


def _newly(was: Bits, keep: Bits) -> Int64s:
    """Where ``keep`` is true and ``was`` is not, ascending; eight entries at a time."""
    found = []
    for begin in range(0, len(keep), _PART):
        kept, before = keep[begin : begin + _PART], was[begin : begin + _PART]
        new = np.zeros(-(-len(kept) // 8) * 8, np.bool_)
        np.greater(kept, before, out=new[: len(kept)])
        words = 8 * np.flatnonzero(new.view(np.uint64))
        near = (words[:, None] + np.arange(8)).ravel()
        found.append(near[new[near]] + begin)
    return np.concatenate(found)


def stable_order(numbers: Int64s, below: int) -> Int64s:
    """What sorts numbers from 0 to less than ``below``, equal ones as they are."""
    if below <= 1:
        return np.arange(len(numbers))
    # numpy sorts numbers of 16 bits by their digits, in a fraction of the time
    return np.argsort(numbers.astype(np.uint16) if below <= 2**16 else numbers, kind="stable")


def _short(values: Int64s) -> Index:
    return values.astype(np.int32) if values.max(initial=0) < 2**31 else values


@dataclass(frozen=True)
class Move:
    """From the places before to those after, which may differ in their order alone.

    ``stays``: which of those before, ascending, keep their values; ``stayed``: the same entries
    among those after. ``new``: which of those after start anew. All others after are 0.
    """

    before: Places
    after: Places
    stays: Bits
    stayed: Bits
    new: Bits

    def values(self, values: Floats, first: Floats | float = 0.0) -> Floats:
        """The values after, of those before, both in the order of the kernels; a copy.

        ``first``: what starts anew, in the order of the index.
        """
        source, others, new = self._sources
        moved = values.take(source) if len(values) else np.zeros(len(source), np.float32)
        moved[others] = 0
        moved[new] = first
        return moved

    @cached_property
    def _sources(self) -> tuple[Int64s, Int64s, Int64s]:
        """For those after, in the order of the kernels, which of those before they were, in that
        order too, else 0; which were none of them; and which start anew, in the order of the index.
        """
        source = np.full(self.after.count, -1, np.int64)
        source[self.stayed] = self.before.ranks[self.stays]
        source = source[self.after.order]
        others = np.flatnonzero(source < 0)
        source[others] = 0
        new = np.flatnonzero(self.new)
        return source, others, self.after.ranks[new]


def move(before: Places, after: Places, was: Bits, keep: Bits, anew: Bits | None) -> Move:
    """From the mask ``was`` to ``keep``, with ``anew`` what of it starts anew; all of one shape."""
    stays, stayed = _at(keep, before), _at(was, after)
    if anew is None:
        return Move(before, after, stays, stayed, np.zeros(after.count, np.bool_))
    new = _at(anew, after)
    return Move(before, after, stays & ~_at(anew, before), stayed & ~new, new)


def _at(bits: Bits, where: Places) -> Bits:
    chosen: Bits = bits.reshape(-1)[where.index]
    return chosen


@dataclass(frozen=True)
class Remasking:
    """A change of masks: the arguments of `Session.remask`, with defaults filled in.

    ``relisted``: the names of which other entries are kept than before; ``moved``: these, and those
    of which some start anew.
    """

    before: Mask | None
    after: Mask
    values: Tensors
    grown: Tensors
    relisted: AbstractSet[str]
    moved: AbstractSet[str]

    def was(self, name: str, shape: tuple[int, ...]) -> Bits:
        """What was kept of a parameter."""
        return bits_of(self.before, name, shape)

    def keep(self, name: str, shape: tuple[int, ...]) -> Bits:
        """What is kept of a parameter."""
        return bits_of(self.after, name, shape)

    def anew(self, name: str) -> Bits | None:
        """What of a parameter starts anew; None for nothing."""
        return self.grown[name].numpy() if name in self.grown else None

    def first(self, name: str) -> Floats | float:
        """The values of what starts anew."""
        return self.values[name].to(torch.float32).numpy() if name in self.values else 0.0


def remasking(
    before: Mask | None, after: Mask, values: Tensors | None, grown: Tensors | None
) -> Remasking:
    """The change from one mask to another."""
    started = newly_kept(before, after) if grown is None else grown
    names = {*after, *(before or ())}
    relisted = frozenset(name for name in names if not _same(before, after, name))
    return Remasking(before, after, values or {}, started, relisted, relisted | set(started))


def _same(before: Mask | None, after: Mask, name: str) -> bool:
    was, keep = (m.lent(name) if m is not None and name in m else None for m in (before, after))
    if was is None or keep is None:
        return bool(all(bits.all() for bits in (was, keep) if bits is not None))
    return torch.equal(was, keep)


def bits_of(mask: Mask | None, name: str, shape: tuple[int, ...]) -> Bits:
    """What a mask keeps of a parameter; all where it does not know it."""
    if mask is None or name not in mask:
        return np.ones(shape, np.bool_)
    bits: Bits = mask.lent(name).numpy()
    return bits
