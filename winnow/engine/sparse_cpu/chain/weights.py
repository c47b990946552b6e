"""Between states, which hold dense tensors, and the nonzeros that kernels train."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from winnow.engine.sparse_cpu.chain.layers import ChainLayer
from winnow.engine.sparse_cpu.chain.lists import ChainLists, KeptLayer, chain_lists
from winnow.engine.sparse_cpu.chain.network import chain_network, relisted
from winnow.engine.sparse_cpu.kernels.chain_network import NONZERO, NONZEROS
from winnow.engine.sparse_cpu.places import Bits, Move, Remasking, bits_of, changed_index, move
from winnow.engine.sparse_cpu.rules import update_rule
from winnow.kernels.arrays import Floats
from winnow.mask import Mask
from winnow.state import State


class Weights:
    """The nonzeros of a network and of its optimizer, in kernel order.

    ``network``: the kernels' arrays. ``rule``: the optimizer as kernels take it.
    """

    def __init__(
        self,
        names: Sequence[str],
        layers: Sequence[ChainLayer],
        state: State,
        optimizer: Mapping[str, Any],
        batch: int,
    ) -> None:
        self.names, self.layers = names, layers
        self.rule = update_rule(optimizer)
        kept = [KeptLayer(_kept(layer, state.mask), layer.relu) for layer in layers]
        self.network, self.lists = chain_network(kept, len(self.rule.slots), batch)
        self.take(state.weights)
        for slot, array in self._slot_arrays():
            if slot in state.slots:
                self._fill(array, state.slots[slot])

    # ---- states

    def tensors(self) -> dict[str, Tensor]:
        """Copies of the weights by name, dense; what was removed is +0."""
        return self.spread(self.network.weight)

    def copied(self) -> Floats:
        """A copy of the weights' nonzeros, which `spread` makes dense."""
        return self.network.weight.copy()

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Give the weights other values, dense and by name."""
        self._fill(self.network.weight, tensors)

    def slot_tensors(self) -> dict[str, dict[str, Tensor]]:
        """Copies of the optimizer's slots in the same way."""
        return {slot: self.spread(array) for slot, array in self._slot_arrays()}

    def _slot_arrays(self) -> Iterator[tuple[str, Floats]]:
        return zip(self.rule.slots, (self.network.first, self.network.second), strict=False)

    def _wheres(self) -> list[slice]:
        """Where each layer's nonzeros lie."""
        return [slice(row[NONZERO], row[NONZERO] + row[NONZEROS]) for row in self.network.table]

    def _layers(self) -> Iterator[tuple[ChainLayer, slice, ChainLists]]:
        """Each layer, where its nonzeros lie, and their lists."""
        return zip(self.layers, self._wheres(), self.lists, strict=True)

    def _fill(self, array: Floats, tensors: Mapping[str, Tensor]) -> None:
        for layer, where, lists in self._layers():
            both = np.zeros((layer.outputs, layer.inputs + 1), np.float32)
            both[:, :-1] = tensors[layer.weight].numpy()
            if layer.bias is not None:
                both[:, -1] = tensors[layer.bias].numpy()
            array[where] = lists.places.of(both.reshape(-1))

    def spread(self, array: Floats) -> dict[str, Tensor]:
        """Nonzeros as dense tensors by name; what was removed is +0."""
        tensors: dict[str, Tensor] = {}
        for layer, where, lists in self._layers():
            places = lists.places
            both = np.zeros((layer.outputs, layer.inputs + 1), np.float32)
            both.reshape(-1)[places.index] = places.ascending(array[where])
            tensors[layer.weight] = torch.from_numpy(both[:, :-1].copy())
            if layer.bias is not None:
                tensors[layer.bias] = torch.from_numpy(both[:, -1].copy())
        return {name: tensors[name] for name in self.names}

    # ---- nonzeros

    def kept(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Copies of what is kept of these weights, 1-d, in the order of the dense tensor."""
        kept: dict[str, Tensor] = {}
        for layer, where, lists in self._layers():
            values = lists.places.ascending(self.network.weight[where])
            kept[layer.weight] = torch.from_numpy(values[~lists.biases])
            if layer.bias is not None:
                kept[layer.bias] = torch.from_numpy(values[lists.biases])
        return {name: kept[name] for name in names if name in kept}

    def set_kept(self, kept: Mapping[str, Tensor]) -> None:
        """Give kept weights other values, as `kept` has them."""
        for layer, where, lists in self._layers():
            values = lists.places.ascending(self.network.weight[where])
            if layer.weight in kept:
                values[~lists.biases] = kept[layer.weight].numpy()
            if layer.bias is not None and layer.bias in kept:
                values[lists.biases] = kept[layer.bias].numpy()
            self.network.weight[where] = values[lists.places.order]

    def remask(self, change: Remasking) -> None:
        """Train on under another mask; what it leaves alone is at most moved as it is."""
        moves: dict[int, tuple[Move, Floats]] = {}
        lists = list(self.lists)
        for i, layer in enumerate(self.layers):
            if change.moved.isdisjoint(_names(layer)):
                continue
            was, keep = _kept(layer, change.before), _kept(layer, change.after)
            if not change.relisted.isdisjoint(_names(layer)):
                index = changed_index(self.lists[i].places, was, keep)
                lists[i] = chain_lists(KeptLayer(keep, layer.relu), back=i > 0, index=index)
            ends = self.lists[i].places, lists[i].places
            moved = move(*ends, was, keep, _anew(layer, change))
            moves[i] = moved, _first(layer, lists[i].biases[moved.new], change)
        froms, olds = self._wheres(), self._trained()
        self.network, self.lists = relisted(self.network, lists, len(self.rule.slots))
        for slot, (old, new) in enumerate(zip(olds, self._trained(), strict=True)):
            for i, (source, to) in enumerate(zip(froms, self._wheres(), strict=True)):
                values = old[source]
                if i in moves:
                    moved, first = moves[i]
                    values = moved.values(values, 0.0 if slot else first)
                new[to] = values

    def _trained(self) -> list[Floats]:
        """The weights and their slots."""
        return [self.network.weight, *(array for _, array in self._slot_arrays())]


def _names(layer: ChainLayer) -> list[str]:
    return [name for name in (layer.weight, layer.bias) if name is not None]


def _kept(layer: ChainLayer, mask: Mask | None) -> Bits:
    """Which entries of a layer (outputs, inputs + 1), the bias last, are trained."""
    both = np.zeros((layer.outputs, layer.inputs + 1), np.bool_)
    both[:, :-1] = bits_of(mask, layer.weight, (layer.outputs, layer.inputs))
    if layer.bias is not None:
        both[:, -1] = bits_of(mask, layer.bias, (layer.outputs,))
    return both


def _anew(layer: ChainLayer, change: Remasking) -> Bits | None:
    """Which entries of a layer (outputs, inputs + 1) start anew; None for none."""
    weight = change.anew(layer.weight)
    bias = None if layer.bias is None else change.anew(layer.bias)
    if weight is None and bias is None:
        return None
    both = np.zeros((layer.outputs, layer.inputs + 1), np.bool_)
    both[:, :-1] = False if weight is None else weight
    both[:, -1] = False if bias is None else bias
    return both


def _first(layer: ChainLayer, biases: Bits, change: Remasking) -> Floats:
    """The values of what starts anew in a layer; ``biases``: which of them are biases."""
    values = np.zeros(len(biases), np.float32)
    values[~biases] = change.first(layer.weight)
    if layer.bias is not None:
        values[biases] = change.first(layer.bias)
    return values
