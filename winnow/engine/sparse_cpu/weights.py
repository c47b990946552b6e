"""Between states, which hold dense tensors, and the nonzeros that kernels train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.engine.sparse_cpu.chain import Layer
from winnow.engine.sparse_cpu.network import NONZERO, Linear, make_network
from winnow.engine.sparse_cpu.update import RULES
from winnow.kernels.arrays import Floats
from winnow.mask import Mask
from winnow.state import State

SLOTS: dict[str, tuple[str, ...]] = {
    "sgd": (),
    "momentum": ("momentum_buffer",),
    "nesterov": ("momentum_buffer",),
    "adam": ("exp_avg", "exp_avg_sq"),
    "adamw": ("exp_avg", "exp_avg_sq"),
}


class Weights:
    """The nonzeros of a network and of its optimizer, in kernel order.

    ``network``: the kernels' arrays. ``rule`` and ``options``: the optimizer as kernels take it.
    """

    def __init__(
        self,
        names: Sequence[str],
        layers: Sequence[Layer],
        state: State,
        optimizer: Mapping[str, Any],
        batch: int,
    ) -> None:
        self.names, self.layers = names, layers
        self.slots = SLOTS[optimizer["name"]]
        self.rule = RULES.index(optimizer["name"])
        self.options = options_of(optimizer)
        shapes = [Linear(_kept(layer, state.mask), layer.relu) for layer in layers]
        self.network, self.flat = make_network(shapes, len(self.slots), batch)
        self._fill(self.network.weight, state.weights)
        for slot, array in self._slot_arrays():
            if slot in state.slots:
                self._fill(array, state.slots[slot])

    def dense(self) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """Copies of the weights, and of the slots, by name; what was removed is +0."""
        slots = {slot: self._spread(array) for slot, array in self._slot_arrays()}
        return self._spread(self.network.weight), slots

    def _slot_arrays(self) -> Iterator[tuple[str, Floats]]:
        return zip(self.slots, (self.network.first, self.network.second), strict=False)

    def _places(self) -> Iterator[tuple[Layer, slice, NDArray[np.int64]]]:
        """Each layer, where its nonzeros lie, and their flat indices into (outputs, inputs + 1)."""
        for layer, flat, row in zip(self.layers, self.flat, self.network.table, strict=True):
            yield layer, slice(row[NONZERO], row[NONZERO] + len(flat)), flat

    def _fill(self, array: Floats, tensors: Mapping[str, Tensor]) -> None:
        for layer, where, flat in self._places():
            both = np.zeros((layer.outputs, layer.inputs + 1), np.float32)
            both[:, :-1] = tensors[layer.weight].numpy()
            if layer.bias is not None:
                both[:, -1] = tensors[layer.bias].numpy()
            array[where] = both.reshape(-1)[flat]

    def _spread(self, array: Floats) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for layer, where, flat in self._places():
            both = np.zeros((layer.outputs, layer.inputs + 1), np.float32)
            both.reshape(-1)[flat] = array[where]
            found[layer.weight] = torch.from_numpy(both[:, :-1].copy())
            if layer.bias is not None:
                found[layer.bias] = torch.from_numpy(both[:, -1].copy())
        return {name: found[name] for name in self.names}


def _kept(layer: Layer, mask: Mask | None) -> NDArray[np.bool_]:
    """Which entries of a layer (outputs, inputs + 1), the bias last, are trained."""
    keep = np.ones((layer.outputs, layer.inputs + 1), np.bool_)
    if mask is not None and layer.weight in mask:
        keep[:, :-1] = mask[layer.weight].numpy()
    if layer.bias is None:
        keep[:, -1] = False
    elif mask is not None and layer.bias in mask:
        keep[:, -1] = mask[layer.bias].numpy()
    return keep


def options_of(optimizer: Mapping[str, Any]) -> NDArray[np.float64]:
    """DECAY, MOMENTUM_FACTOR, BETA1, BETA2, EPS of `winnow.engine.sparse_cpu.update`."""
    betas = optimizer.get("betas", (0.0, 0.0))
    values = (optimizer["weight_decay"], optimizer.get("momentum", 0.0), *betas)
    return np.array([*values, optimizer.get("eps", 0.0)], np.float64)
