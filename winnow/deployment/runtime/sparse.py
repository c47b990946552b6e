"""The layers of a network as their nonzeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from winnow.deployment.network import Network
from winnow.deployment.runtime.plan import SparseNetwork
from winnow.deployment.runtime.steps import SparseWeights
from winnow.deployment.simplify import arguments

aten: Any = torch.ops.aten

_DENSE = 0.5  # above this density a file of nonzeros is larger than one of all weights
_SMALL = 65_536  # weights that may be nonzeros at any density, so that kernels need no neighbour


def sparse_network(network: Network, *, int8: bool = False) -> SparseNetwork:
    """Keep of every convolution and linear layer its nonzeros alone, where that is less.

    Layers above a density of one half stay whole, unless they are small. ``int8``: their weights in
    one byte each, with a scale for each output: the largest of its weights is 127.
    """
    nonzeros = {}
    for name in _layers(network):
        weights = nonzeros_of(name, network.constants[name])
        if weights.density <= _DENSE or np.prod(weights.shape) <= _SMALL:
            nonzeros[name] = int8_weights(weights) if int8 else weights
    kept = {name: v for name, v in network.constants.items() if name not in nonzeros}
    whole = Network(network.graph, kept, network.inputs, network.outputs)
    return SparseNetwork(whole, nonzeros)


def _layers(network: Network) -> list[str]:
    """Names of the weights that layers alone use, none of which is tied to something else."""
    names: dict[str, None] = {}
    other: set[str] = set()
    for node in network.graph.nodes:
        layer = node.target in (aten.conv2d.default, aten.linear.default)
        weight = arguments(node)["weight"] if layer else None
        for given in node.all_input_nodes:
            if given.op == "get_attr":
                name = str(given.target)
                names |= {name: None} if given is weight else {}
                other |= set() if given is weight else {name}
    values = {name: network.constants[name] for name in names if name not in other}
    return [n for n, v in values.items() if v.dtype == torch.float32 and v.dim() in (2, 4)]


def nonzeros_of(name: str, values: Tensor) -> SparseWeights:
    """The nonzeros of (O, I) or (O, I, kh, kw)."""
    array = values.detach().cpu().float().contiguous().numpy()
    shape = (*array.shape, 1, 1)[:4]
    index = np.flatnonzero(array)
    return SparseWeights(name, shape, index, array.reshape(-1)[index], rank=array.ndim)


def int8_weights(weights: SparseWeights) -> SparseWeights:
    """One byte for each weight: value / scale, rounded; a row's scale is its largest / 127."""
    rows = weights.index // int(np.prod(weights.shape[1:]))
    largest = np.zeros(weights.shape[0], np.float32)
    np.maximum.at(largest, rows, np.abs(weights.values))
    scale = (np.where(largest > 0, largest, 127) / 127).astype(np.float32)
    values = np.clip(np.rint(weights.values / scale[rows]), -127, 127).astype(np.int8)
    return SparseWeights(weights.name, weights.shape, weights.index, values, scale, weights.rank)
