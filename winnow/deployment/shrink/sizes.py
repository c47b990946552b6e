"""How large the layers of a network are: before shrinking and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import fx

from winnow.deployment.network import Network
from winnow.deployment.shrink.weights import LAYERS
from winnow.deployment.simplify import arguments, constant


@dataclass(frozen=True)
class LayerSize:
    """One layer: units that it writes and reads, its weights, and how many are not zero."""

    outputs: int
    inputs: int
    weights: int
    nonzero: int


_NONE = LayerSize(0, 0, 0, 0)


@dataclass(frozen=True)
class Shrinking:
    """What went: the layers of a network before and after, by the names of their weights.

    A layer that is gone as a whole is not in ``after``.
    """

    before: Mapping[str, LayerSize] = field(default_factory=dict)
    after: Mapping[str, LayerSize] = field(default_factory=dict)

    @property
    def units(self) -> tuple[int, int]:
        """All units that layers write, before and after."""
        return _sum(self.before, "outputs"), _sum(self.after, "outputs")

    @property
    def weights(self) -> tuple[int, int]:
        """All weights of layers, zeros too, before and after."""
        return _sum(self.before, "weights"), _sum(self.after, "weights")

    @property
    def smaller(self) -> dict[str, tuple[LayerSize, LayerSize]]:
        """The layers that are not as they were, before and after; zeros for one that is gone."""
        pairs = {name: (size, self.after.get(name, _NONE)) for name, size in self.before.items()}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def shrinking(before: Network, after: Network) -> Shrinking:
    """What went between two networks, of which the second was made of the first.

    ``before`` as `winnow.deployment.simplify.simplified` returns it, with the same names.
    """
    return Shrinking(sizes_of_layers(before), sizes_of_layers(after))


def sizes_of_layers(network: Network) -> dict[str, LayerSize]:
    """The linear layers and convolutions of a network, by the names of their weights, in order."""
    constants = dict(network.constants)
    found = {}
    for node in network.graph.nodes:
        if node.op != "call_function" or node.target not in LAYERS:
            continue
        call = arguments(node)
        if (weight := constant(constants, call["weight"])) is not None:
            found[_name(call["weight"])] = _size(call, weight)
    return found


def _name(node: fx.Node) -> str:
    return str(node.target)


def _size(call: dict[str, Any], weight: Any) -> LayerSize:
    groups = int(call.get("groups", 1))
    outputs, inputs = weight.shape[0], weight.shape[1] * groups
    if "output_padding" in call:
        outputs, inputs = inputs, outputs
    return LayerSize(outputs, inputs, weight.numel(), int(weight.count_nonzero()))


def _sum(sizes: Mapping[str, LayerSize], what: str) -> int:
    return sum(getattr(size, what) for size in sizes.values())
