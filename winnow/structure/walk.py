"""A walk through the graph of a forward pass that says which units each tensor holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from winnow.selection import parameters
from winnow.structure.known import (
    APART_FUNCTIONS,
    APART_METHODS,
    APART_MODULES,
    BY_CHANNEL_FUNCTIONS,
    BY_CHANNEL_MODULES,
    TOGETHER_FUNCTIONS,
    TOGETHER_METHODS,
)
from winnow.structure.labels import Labels

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Channels:
    """The labels of the units that stand along one axis of a tensor."""

    labels: Tensor
    axis: int


@dataclass(frozen=True)
class WeightLabels:
    """The labels that a weight writes and reads, and along which of its axes."""

    writes: Tensor
    reads: Tensor | None
    outputs: int
    inputs: int


class Walk:
    """Visits nodes in the order of the forward pass; ``weights`` and ``labels`` are what it found.

    What is not known to keep units apart fixes all that goes into it. ``neurons``: whether those
    of linear layers may go.
    """

    def __init__(self, model: nn.Module, graph: fx.GraphModule, neurons: bool) -> None:
        self.labels = Labels()
        self.weights: dict[str, WeightLabels] = {}
        self._neurons = neurons
        self._graph, self._modules = graph, dict(graph.named_modules())
        self._read_elsewhere: set[str] = set()
        self._names = {id(p): name for name, p in reversed(parameters(model).items())}
        self._held: dict[fx.Node, Channels | None] = {}  # None: nothing that may go

    def visit(self, node: fx.Node) -> None:
        """Note which units the node's output holds."""
        known = {
            "call_module": self._module,
            "call_function": self._function,
            "call_method": self._method,
            "get_attr": self._constant,
        }
        self._held[node] = known.get(node.op, self._unknown)(node)

    def finish(self) -> None:
        """After the last node: weights that something reads outside of their layers stay whole."""
        for name in self._read_elsewhere & self.weights.keys():
            own = self.weights[name]
            for labels in (own.writes, own.reads):
                if labels is not None:
                    self.labels.fix(labels)

    # ---- nodes by kind

    def _constant(self, node: fx.Node) -> None:
        found: Any = self._graph
        for part in str(node.target).split("."):
            found = getattr(found, part)
        if (name := self._names.get(id(found))) is not None:
            self._read_elsewhere.add(name)

    def _module(self, node: fx.Node) -> Channels | None:
        layer: Any = self._modules[str(node.target)]
        if isinstance(layer, nn.Linear):
            return self._linear(node, layer)
        if isinstance(layer, (*_CONVOLUTIONS, *_TRANSPOSED)):
            return self._convolution(node, layer)
        if isinstance(layer, nn.Flatten):
            return self._flattened(node, layer.start_dim, layer.end_dim)
        if isinstance(layer, BY_CHANNEL_MODULES):
            return self._by_channel(node)
        return self._apart(node) if isinstance(layer, APART_MODULES) else self._unknown(node)

    def _function(self, node: fx.Node) -> Channels | None:
        function: Any = node.target
        if function in APART_FUNCTIONS:
            return self._apart(node)
        if function in BY_CHANNEL_FUNCTIONS:
            return self._by_channel(node)
        if function in TOGETHER_FUNCTIONS:
            return self._together(node)
        if function is torch.flatten:
            return self._flattened(
                node, _given(node, 1, "start_dim", 0), _given(node, 2, "end_dim", -1)
            )
        if function is torch.cat:
            return self._concatenated(node)
        if function is torch.mean:
            return self._mean(node)
        return None if function is getattr else self._unknown(node)

    def _method(self, node: fx.Node) -> Channels | None:
        name = node.target
        if name in APART_METHODS:
            return self._apart(node)
        if name in TOGETHER_METHODS:
            return self._together(node)
        if name == "flatten":
            return self._flattened(
                node, _given(node, 1, "start_dim", 0), _given(node, 2, "end_dim", -1)
            )
        if name in ("view", "reshape"):
            return self._reshaped(node)
        if name == "mean":
            return self._mean(node)
        if name in ("permute", "transpose"):
            return self._exchanged(node)
        return None if name in ("size", "dim") else self._unknown(node)

    def _unknown(self, node: fx.Node) -> Channels | None:
        """All that goes in stays; nothing is known of what comes out."""
        for given in node.all_input_nodes:
            self._fix(self._held.get(given))
        return None

    # ---- layers

    def _linear(self, node: fx.Node, layer: nn.Linear) -> Channels:
        axis = len(_shape(node)) - 1
        reads = self._read(node, axis, layer.in_features)
        writes = self.labels.new(layer.out_features, fixed=not self._neurons)
        return self._wrote(layer, WeightLabels(writes, reads, 0, 1), axis)

    def _convolution(self, node: fx.Node, layer: Any) -> Channels | None:
        if len(_shape(node)) != layer.weight.dim():  # without a batch
            return self._unknown(node)
        reads = self._read(node, 1, layer.in_channels)
        turned = isinstance(layer, _TRANSPOSED)
        if layer.groups == 1:
            writes = self.labels.new(layer.out_channels)
            own = WeightLabels(writes, reads, int(turned), int(not turned))
            return self._wrote(layer, own, 1)
        if layer.groups == layer.in_channels == layer.out_channels:  # a filter for each channel
            return self._wrote(layer, WeightLabels(reads, None, 0, 1), 1)
        return self._unknown(node)

    def _read(self, node: fx.Node, axis: int, size: int) -> Tensor:
        """The labels that a layer finds on an axis of its input; fixed ones if none are known."""
        held = self._first(node)
        if held is not None and held.axis == axis and len(held.labels) == size:
            return held.labels
        self._fix(held)
        return self.labels.new(size, fixed=True)

    def _wrote(self, layer: Any, own: WeightLabels, axis: int) -> Channels:
        """Note what a layer's weight reads and writes; the same units in all of its calls."""
        name = self._names.get(id(layer.weight))
        if name is None:  # computed from other parameters
            for labels in (own.writes, own.reads):
                if labels is not None:
                    self.labels.fix(labels)
        elif (before := self.weights.get(name)) is not None:
            self.labels.join(before.writes, own.writes)
            if before.reads is not None and own.reads is not None:
                self.labels.join(before.reads, own.reads)
        else:
            self.weights[name] = own
        return Channels(own.writes, axis)

    # ---- what stands between layers

    def _apart(self, node: fx.Node) -> Channels | None:
        """Units stay apart, and where they were."""
        held, shape = self._first(node), _shape(node)
        if held is None or len(shape) <= held.axis or shape[held.axis] != len(held.labels):
            return self._unknown(node)
        if len(node.all_input_nodes) > 1:  # a weight that is no module's, a norm's for instance
            return self._unknown(node)
        return held

    def _by_channel(self, node: fx.Node) -> Channels | None:
        """Units stay apart where they are channels; along another axis they would be mixed."""
        held = self._first(node)
        return self._apart(node) if held is not None and held.axis == 1 else self._unknown(node)

    def _together(self, node: fx.Node) -> Channels | None:
        sides = [given for given in node.args[:2] if isinstance(given, fx.Node)]
        if len(sides) == 1:  # with a number
            return self._apart(node)
        first, second = (self._held.get(side) for side in sides)
        ranks = {len(_shape(side)) for side in (*sides, node)}
        if first is None or second is None or len(ranks) > 1 or first.axis != second.axis:
            return self._unknown(node)
        if not len(first.labels) == len(second.labels) == _shape(node)[first.axis]:
            return self._unknown(node)
        self.labels.join(first.labels, second.labels)
        return first

    def _flattened(self, node: fx.Node, start: Any, end: Any) -> Channels | None:
        """(B, C, …) → (B, C · …): a channel stands there once for every position."""
        held, shape = self._first(node), _shape(node)
        if held is None or held.axis != 1 or start != 1 or end != -1 or len(shape) != 2:
            return self._unknown(node)
        return Channels(held.labels.repeat_interleave(shape[1] // len(held.labels)), 1)

    def _reshaped(self, node: fx.Node) -> Channels | None:
        """``x.view(len(x), -1)`` is a flattening; other reshapes are not followed."""
        source = node.args[0]
        before, after = _shape(source), _shape(node)
        if len(before) > 1 and len(after) == 2 and before[0] == after[0]:
            return self._flattened(node, 1, -1)
        return self._unknown(node)

    def _mean(self, node: fx.Node) -> Channels | None:
        """A mean over positions, not over units."""
        held, rank = self._first(node), len(_shape(node.args[0]))
        dims = _given(node, 1, "dim", None)
        over = {d % rank for d in ([dims] if isinstance(dims, int) else dims or range(rank))}
        if held is None or held.axis in over:
            return self._unknown(node)
        gone = sum(d < held.axis for d in over) if len(_shape(node)) < rank else 0
        return Channels(held.labels, held.axis - gone)

    def _exchanged(self, node: fx.Node) -> Channels | None:
        held, rank = self._first(node), len(_shape(node))
        given = node.args[1] if isinstance(node.args[1], (tuple, list)) else node.args[1:]
        dims = [d % rank for d in given if isinstance(d, int)]
        if node.target == "transpose":
            order = list(range(rank))
            order[dims[0]], order[dims[1]] = dims[1], dims[0]
            dims = order
        if held is None or sorted(dims) != list(range(rank)):
            return self._unknown(node)
        return Channels(held.labels, dims.index(held.axis))

    def _concatenated(self, node: fx.Node) -> Channels | None:
        parts, axis = node.args[0], _given(node, 1, "dim", 0)
        axis %= len(_shape(node))
        held = [self._held.get(part) for part in node.all_input_nodes]
        known = {one.axis for one in held if one is not None} == {axis}
        if not known or not isinstance(parts, (tuple, list)):
            return self._unknown(node)
        return Channels(torch.cat([self._labels_of(part, axis) for part in parts]), axis)

    def _labels_of(self, node: Any, axis: int) -> Tensor:
        """The labels along an axis of a node; fixed ones where nothing of it may go."""
        held = self._held.get(node)
        size = _shape(node)[axis]
        return self.labels.new(size, fixed=True) if held is None else held.labels

    # ---- what nodes know

    def _first(self, node: fx.Node) -> Channels | None:
        given = node.args[0] if node.args else node.kwargs.get("input")
        return self._held.get(given) if isinstance(given, fx.Node) else None

    def _fix(self, held: Channels | None) -> None:
        if held is not None:
            self.labels.fix(held.labels)


def _shape(node: Any) -> tuple[int, ...]:
    """The shape of the tensor that a node gives; empty if it gives none."""
    about = node.meta.get("tensor_meta") if isinstance(node, fx.Node) else None
    return tuple(getattr(about, "shape", ()))


def _given(node: fx.Node, place: int, name: str, default: Any) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)
