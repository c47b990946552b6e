"""All trained numbers of a network in one array, with gradients and optimizer slots beside it.

Each parameter has a segment that holds what its mask keeps, in the order of the kernels that read
it, padded to whole vectors; so an update is one pass, and memory is proportional to the nonzeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.engine.sparse_cpu.update import RULES, set_step, update_all
from winnow.engine.sparse_cpu.weights import SLOTS, options_of
from winnow.kernels.arrays import Floats, aligned, padded
from winnow.state import State


@dataclass(frozen=True)
class _Segment:
    """Where a parameter lies. ``kept``: flat indices of its entries; None for all, in order."""

    shape: tuple[int, ...]
    where: slice
    kept: NDArray[np.int64] | None


class Parameters:
    """Weights, gradients and slots of a network.

    ``kept``: for each parameter that is not whole, the flat indices of what is trained.
    """

    def __init__(
        self,
        kept: Mapping[str, NDArray[np.int64] | None],
        state: State,
        optimizer: Mapping[str, Any],
    ) -> None:
        self.segments = _segments(kept, state)
        size = sum(padded(s.where.stop - s.where.start) for s in self.segments.values())
        self.names = SLOTS[optimizer["name"]]
        self.rule = RULES.index(optimizer["name"])
        self.options = options_of(optimizer)
        self.weight, self.gradient = aligned(size, 0.0), aligned(size, 0.0)
        self.first = aligned(size if len(self.names) > 0 else 0, 0.0)
        self.second = aligned(size if len(self.names) > 1 else 0, 0.0)
        self.step = np.zeros(10, np.float32)
        self.spread: dict[str, tuple[Floats, Floats]] = {}  # dense copies of masked parameters
        self._fill(self.weight, state.weights)
        for slot, array in self._slots().items():
            if slot in state.slots:
                self._fill(array, state.slots[slot])

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
        if segment.kept is None:
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
            self.gradient[segment.where] = gradient[segment.kept]

    def update(self, rate: float, count: int, factor: float) -> None:
        """Update ``count`` (from 1) with the gradients times ``factor``."""
        set_step(self.rule, self.options, rate, count, self.step)
        update_all(
            self.rule, self.step, self.weight, self.first, self.second, self.gradient, factor
        )
        for name in self.spread:
            self._spread_weights(name)

    def _spread_weights(self, name: str) -> None:
        segment = self.segments[name]
        self.spread[name][0][segment.kept] = self.weight[segment.where]

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """Copies of the weights, and of the slots, dense by name; what was removed is +0."""
        slots = {slot: self._read(array) for slot, array in self._slots().items()}
        return self._read(self.weight), slots

    def _slots(self) -> dict[str, Floats]:
        return dict(zip(self.names, (self.first, self.second), strict=False))

    def _fill(self, array: Floats, tensors: Mapping[str, Tensor]) -> None:
        for name, segment in self.segments.items():
            values = tensors[name].detach().numpy().reshape(-1)
            array[segment.where] = values if segment.kept is None else values[segment.kept]

    def _read(self, array: Floats) -> dict[str, Tensor]:
        found = {}
        for name, segment in self.segments.items():
            values = np.zeros(int(np.prod(segment.shape)), np.float32)
            values[... if segment.kept is None else segment.kept] = array[segment.where]
            found[name] = torch.from_numpy(values).view(segment.shape)
        return found


def _segments(kept: Mapping[str, NDArray[np.int64] | None], state: State) -> dict[str, _Segment]:
    segments, at = {}, 0
    for name, tensor in state.weights.items():
        places = kept.get(name)
        if name not in kept and state.mask is not None and name in state.mask:
            keep = state.mask[name].reshape(-1).numpy()
            places = None if keep.all() else np.flatnonzero(keep)
        count = tensor.numel() if places is None else len(places)
        segments[name] = _Segment(tuple(tensor.shape), slice(at, at + count), places)
        at += padded(count)
    return segments
