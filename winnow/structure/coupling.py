"""Which units of a network go together: those that are added, multiplied or stand in one channel.

A unit is a column of a layer's output: a neuron of a linear layer, a channel of a convolution. The
graph of the forward pass (``torch.fx``) says where each one goes. Where two layers write to one
channel (a residual sum, a gate), they write one unit, which can only go from both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from winnow.errors import UserError, unknown
from winnow.selection import parameters, uncompiled
from winnow.structure.walk import Walk

UnitKind = Literal["unit", "channel"]
UNIT_KINDS: tuple[UnitKind, ...] = ("unit", "channel")


@dataclass(frozen=True)
class UnitAxes:
    """Of one weight: the unit that each step along its output axis writes, and along its input axis
    reads, as numbers; ``reads`` is None for depthwise filters, which read the unit that they write.

    ``shape``: the weight's; ``outputs``, ``inputs``: where those axes are.
    """

    shape: tuple[int, ...]
    writes: Tensor
    reads: Tensor | None
    outputs: int = 0
    inputs: int = 1


@dataclass(frozen=True)
class Structure:
    """The units of a network, numbered from 0, and the weights that write and read them.

    ``axes``: by the name of the weight. ``sets``: the units that may go, by the names of the
    weights that write them. All other units (the network's inputs and outputs, and those of which
    a layer would make something else if one went) always stay. ``count``: how many there are.
    """

    axes: Mapping[str, UnitAxes]
    sets: Mapping[tuple[str, ...], Tensor]
    count: int

    @property
    def by_name(self) -> dict[str, Tensor]:
        """The sets, each under the names of its weights as one word: "a.weight + b.weight"."""
        return {" + ".join(names): units for names, units in self.sets.items()}

    @property
    def prunable(self) -> int:
        """How many units may go."""
        return sum(len(units) for units in self.sets.values())


def structure_of(model: nn.Module, example_input: Any, kind: UnitKind = "unit") -> Structure:
    """The units of a network, from one forward pass of ``example_input``: (B, …), or a tuple of its
    arguments.

    ``kind``: "unit", neurons of linear layers and channels of convolutions; "channel", only the
    latter: neurons then stay. Followed: linear layers, convolutions (depthwise ones too), batch
    norm, activations, dropout, pools, sums, products, concatenations, flattening, means, and
    exchanges of axes. What goes into anything else (layer norm, attention, recurrent layers,
    convolutions in groups, other reshapes) and into the network's output always stays: a smaller
    network would not be the masked one there.

    The model may be in any mode and stays as it is. Raises UserError for an unknown kind, a network
    that ``torch.fx`` cannot trace, and one without a unit that may go.
    """
    if kind not in UNIT_KINDS:
        raise unknown("structure", str(kind), UNIT_KINDS, f"It is one of {', '.join(UNIT_KINDS)}")
    model = uncompiled(model)
    graph = _traced(model)
    _note_shapes(model, graph, example_input)
    walk = Walk(model, graph, neurons=kind == "unit")
    for node in graph.graph.nodes:
        walk.visit(node)
    walk.finish()
    found = _structure(model, walk)
    if not found.sets:
        raise UserError(
            f"no {kind} may go: every one is an input or an output of the network, or is read by a "
            "layer that a smaller network would not have the same way"
        )
    return found


def _traced(model: nn.Module) -> fx.GraphModule:
    try:
        return fx.symbolic_trace(model)
    except Exception as error:  # whatever a user's forward raises on proxies
        raise UserError(
            f"torch.fx cannot trace {type(model).__name__} ({type(error).__name__}: {error}), so "
            "that it is not known which units go together. Move what depends on values out of "
            "forward, or into a function under torch.fx.wrap"
        ) from error


def _note_shapes(model: nn.Module, graph: fx.GraphModule, example_input: Any) -> None:
    inputs = example_input if isinstance(example_input, tuple) else (example_input,)
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            ShapeProp(graph).propagate(*inputs)
    finally:
        for module, mode in modes:
            module.training = mode


def _structure(model: nn.Module, walk: Walk) -> Structure:
    named = parameters(model)
    number, count = walk.labels.numbers()
    axes = {
        name: UnitAxes(
            tuple(named[name].shape), number[own.writes],
            None if own.reads is None else number[own.reads], own.outputs, own.inputs,
        )
        for name, own in walk.weights.items()
    }  # fmt: skip
    writers: defaultdict[int, list[str]] = defaultdict(list)
    for name, own in axes.items():
        for unit in dict.fromkeys(own.writes.tolist()):
            writers[unit].append(name)
    free = walk.labels.free()
    sets: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for unit in sorted(writers):
        if free[unit]:
            sets[tuple(writers[unit])].append(unit)
    return Structure(axes, {names: torch.tensor(units) for names, units in sets.items()}, count)
