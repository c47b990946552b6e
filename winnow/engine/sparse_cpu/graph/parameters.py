"""All trained numbers of a network in one array, with gradients and optimizer slots beside it.

Each parameter has a segment that holds what its mask keeps, in the order of the kernels that read
it, padded to whole vectors; so an update is one pass, and memory is proportional to the nonzeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from winnow.engine.sparse_cpu.kernels.update import set_step, update_arrays
from winnow.engine.sparse_cpu.places import Places, Remasking, bits_of, move, places
from winnow.engine.sparse_cpu.rules import update_rule
from winnow.kernels.arrays import Floats, aligned, padded
from winnow.state import State


@dataclass(frozen=True)
class _Segment:
    """Where the trained entries of a parameter lie, and which they are."""

    shape: tuple[int, ...]
    where: slice
    places: Places


class Parameters:
    """Weights, gradients and slots of a network.

    ``kept``: the places of what is trained, where kernels have an order of their own.
    """

    def __init__(
        self,
        kept: Mapping[str, Places],
        state: State,
        optimizer: Mapping[str, Any],
    ) -> None:
        shapes = {name: tuple(weight.shape) for name, weight in state.weights.items()}
        own = {n: places(bits_of(state.mask, n, s)) for n, s in shapes.items() if n not in kept}
        self.segments = _segments({**own, **kept}, shapes)
        self.rule = update_rule(optimizer)
        self._allocate()
        self.step = np.zeros(10, np.float32)
        self.spread: dict[str, tuple[Floats, Floats]] = {}  # dense copies of masked parameters
        self._fill(self.weight, state.weights)
        for slot, array in self._slots().items():
            if slot in state.slots:
                self._fill(array, state.slots[slot])

    def _allocate(self) -> None:
        size = sum(padded(segment.places.count) for segment in self.segments.values())
        self.weight, self.gradient = aligned(size, 0.0), aligned(size, 0.0)
        self.first = aligned(size if len(self.rule.slots) > 0 else 0, 0.0)
        self.second = aligned(size if len(self.rule.slots) > 1 else 0, 0.0)

    def shape(self, name: str) -> tuple[int, ...]:
        """The dense shape of a parameter."""
        return self.segments[name].shape

    def nonzeros(self, name: str) -> tuple[Floats, Floats]:
        """The trained entries of a parameter and their gradients, views in kernel order."""
        where = self.segments[name].where
        return self.weight[where], self.gradient[where]

    def dense(self, name: str) -> tuple[Floats, Floats]:
        """All entries of a parameter, flat, and their gradients.

        Views where it is whole; else copies that `collect` and `update` keep true.
        """
        segment = self.segments[name]
        if segment.places.whole:
            return self.nonzeros(name)
        if name not in self.spread:
            size = int(np.prod(segment.shape))
            self.spread[name] = np.zeros(size, np.float32), np.zeros(size, np.float32)
            self._spread_weights(name)
        return self.spread[name]

    def collect(self) -> None:
        """Take the gradients of dense copies to where the update reads them."""
        for name, (_, gradient) in self.spread.items():
            segment = self.segments[name]
            self.gradient[segment.where] = segment.places.of(gradient)

    def update(self, rate: float, count: int, factor: float) -> None:
        """Update ``count`` (from 1) with the gradients times ``factor``."""
        number = self.rule.number
        set_step(number, self.rule.options, rate, count, self.step)
        update_arrays(
            number, self.step, self.weight, self.first, self.second, self.gradient, factor
        )
        for name in self.spread:
            self._spread_weights(name)

    def _spread_weights(self, name: str) -> None:
        segment = self.segments[name]
        values = segment.places.ascending(self.weight[segment.where])
        self.spread[name][0][segment.places.index] = values

    # ---- states

    def tensors(self) -> dict[str, Tensor]:
        """Copies of the weights by name, dense; what was removed is +0."""
        return self._read(self.weight)

    def slot_tensors(self) -> dict[str, dict[str, Tensor]]:
        """Copies of the optimizer's slots in the same way."""
        return {slot: self._read(array) for slot, array in self._slots().items()}

    def _slots(self) -> dict[str, Floats]:
        return dict(zip(self.rule.slots, (self.first, self.second), strict=False))

    def _fill(self, array: Floats, tensors: Mapping[str, Tensor]) -> None:
        for name, segment in self.segments.items():
            values = tensors[name].detach().numpy().reshape(-1)
            array[segment.where] = segment.places.of(values)

    def _read(self, array: Floats) -> dict[str, Tensor]:
        tensors = {}
        for name, segment in self.segments.items():
            values = np.zeros(int(np.prod(segment.shape)), np.float32)
            values[segment.places.index] = segment.places.ascending(array[segment.where])
            tensors[name] = torch.from_numpy(values).view(segment.shape)
        return tensors

    # ---- nonzeros

    def kept(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Copies of what is kept of these weights, 1-d, in the order of the dense tensor."""
        known = {name: self.segments[name] for name in names if name in self.segments}
        return {
            name: torch.from_numpy(segment.places.ascending(self.weight[segment.where]))
            for name, segment in known.items()
        }

    def set_kept(self, kept: Mapping[str, Tensor]) -> None:
        """Give kept weights other values, as `kept` has them."""
        for name, values in kept.items():
            segment = self.segments[name]
            self.weight[segment.where] = values.numpy()[segment.places.order]
        for name in self.spread:
            self._spread_weights(name)

    def remask(self, change: Remasking, listed: Mapping[str, Places]) -> None:
        """Train on under another mask; what it leaves alone is at most moved as it is.

        ``listed``: the places after it, where kernels have an order of their own. Views of arrays
        are to be asked for again.
        """
        before, olds = self.segments, self._trained()
        after = {name: segment.places for name, segment in before.items()}
        shapes = {name: segment.shape for name, segment in before.items()}
        for name in change.relisted & before.keys():
            after[name] = listed.get(name) or places(change.keep(name, shapes[name]))
        moves = {
            name: move(
                before[name].places,
                after[name],
                change.was(name, shapes[name]),
                change.keep(name, shapes[name]),
                change.anew(name),
            )
            for name in change.moved & before.keys()
        }
        self.segments = _segments(after, shapes)
        if any(segment.where != before[name].where for name, segment in self.segments.items()):
            self._allocate()
        for slot, (old, new) in enumerate(zip(olds, self._trained(), strict=True)):
            for name, segment in self.segments.items():
                values = old[before[name].where]
                if name in moves:
                    values = moves[name].values(values, 0.0 if slot else change.first(name))
                new[segment.where] = values
        self._respread()

    def _trained(self) -> list[Floats]:
        """The weights and their slots."""
        return [self.weight, *self._slots().values()]

    def _respread(self) -> None:
        """Make the dense copies true after another mask."""
        for name, (weight, _) in list(self.spread.items()):
            if self.segments[name].places.whole:
                del self.spread[name]
            else:
                weight[:] = np.float32(0)
                self._spread_weights(name)


def _segments(
    kept: Mapping[str, Places], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, _Segment]:
    """One segment after the other, in the order of ``shapes``."""
    segments, at = {}, 0
    for name, shape in shapes.items():
        count = kept[name].count
        segments[name] = _Segment(shape, slice(at, at + count), kept[name])
        at += padded(count)
    return segments
