"""A network put together again: programs of kernels where they shall run, torch everywhere else."""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from winnow.deployment.network import Network
from winnow.deployment.runtime.assemble import Program, assemble
from winnow.deployment.runtime.parts import KernelPart, kernel_parts
from winnow.deployment.runtime.recognise import Known
from winnow.deployment.runtime.runner import Runner
from winnow.deployment.runtime.steps import SparseWeights

LANES = (1, 16, 64)
"""Examples side by side in programs: 1, or whole vectors of any processor."""

_ANOTHER = 3  # a number of examples that no plan is made for


@dataclass(frozen=True, eq=False)
class SparseNetwork:
    """A network whose layers with zeros are known by their nonzeros alone.

    ``network``: its constants lack the weights in ``nonzeros``, or have them without memory.
    """

    network: Network
    nonzeros: Mapping[str, SparseWeights]

    def known(self, batch: int) -> Known:
        """What parts are made with, for batches of this size."""
        return Known(self.network.constants, self.nonzeros, self.shapes(batch), self._others)

    @functools.cached_property
    def _others(self) -> dict[str, Any]:
        """What every node gives for other inputs than the example and those of plans."""
        lengths = [n for one in self.network.inputs for n in one.free_lengths]
        for others in [*(n - 1 for n in lengths if n > 1), *(n + 1 for n in lengths)]:
            try:
                return self.shapes(_ANOTHER, others)
            except Exception:  # whatever a network raises that is limited to some lengths
                continue
        return self.shapes(_ANOTHER)

    def shapes(self, batch: int, others: int | None = None) -> dict[str, Any]:
        """What every node gives, as `Network.shapes` does."""
        empty = {name: _without_memory(w) for name, w in self.nonzeros.items()}
        whole = Network(
            self.network.graph,
            {**self.network.constants, **empty},
            self.network.inputs,
            self.network.outputs,
        )
        return whole.shapes(batch, others)

    def value(self, name: str) -> Tensor:
        """A constant, whole."""
        if name in self.nonzeros:
            return dense_tensor(self.nonzeros[name])
        return self.network.constants[name]


def dense_tensor(weights: SparseWeights) -> Tensor:
    """The weights of a layer, (O, I) or (O, I, kh, kw), zeros included."""
    whole = torch.from_numpy(weights.dense())
    return whole if weights.rank == 4 else whole.reshape(whole.shape[:2])


def _without_memory(weights: SparseWeights) -> Tensor:
    shape = weights.shape if weights.rank == 4 else weights.shape[:2]
    return torch.zeros(1).expand(shape)


@dataclass(frozen=True, eq=False)
class ExecutionPlan:
    """One way to run a network: ``module`` takes and returns tensors as `Network.runnable` does."""

    module: fx.GraphModule
    parts: tuple[KernelPart, ...]
    runners: tuple[Runner, ...]

    @property
    def only(self) -> Runner | None:
        """The runner that does everything, if one does."""
        calls = [n for n in self.module.graph.nodes if n.op not in ("placeholder", "output")]
        alone = len(calls) == 1 and len(self.runners) == 1 and len(self.runners[0].shapes) == 1
        inputs = [n for n in self.module.graph.nodes if n.op == "placeholder"]
        return self.runners[0] if alone and list(calls[0].args) == inputs else None


def plan(sparse: SparseNetwork, known: Known, in_torch: Collection[fx.Node] = ()) -> ExecutionPlan:
    """The network as parts that kernels run, and with what torch shall run."""
    parts = tuple(kernel_parts(sparse.network.graph, known, in_torch))
    runners = tuple(_runner(part, known) for part in parts)
    return ExecutionPlan(_joined(sparse, parts, runners), parts, runners)


def _runner(part: KernelPart, known: Known) -> Runner:
    rows = known.examples(part.outputs[0])
    lanes = LANES[: 1 + (rows > 1) + (rows > LANES[1])]  # the last may have some to spare
    programs: dict[int, Program] = {n: assemble(part.steps, n) for n in lanes}
    ranks = [len(known.shape(node) or ()) for node in part.inputs]
    shapes = []
    for node in part.outputs:
        shape = known.shape(node) or ()
        shapes.append(shape[1:] if len(shape) in (2, 4) else shape[-1:])
    return Runner(programs, dict.fromkeys(lanes, 1.0), ranks, shapes)


def _joined(
    sparse: SparseNetwork, parts: Sequence[KernelPart], runners: Sequence[Runner]
) -> fx.GraphModule:
    """A graph of torch's nodes and a call for each part, when all that it needs is there."""
    old, new = sparse.network.graph, fx.Graph()
    of = {node: i for i, part in enumerate(parts) for node in part.nodes}
    made: dict[fx.Node, fx.Node] = {}
    waiting = list(range(len(parts)))
    names = _free_names(old, len(parts))
    root: dict[str, Any] = dict(zip(names, runners, strict=True))
    left = list(old.nodes)
    while left:
        later, before = [], len(made)
        for i in [i for i in waiting if all(n in made for n in parts[i].inputs)]:
            _call(new, made, parts[i], names[i])
            waiting.remove(i)
        for node in left:
            if node in of:
                continue
            needed = [n for n in node.all_input_nodes if n.op != "get_attr"]
            if all(n in made for n in needed):
                for constant in node.all_input_nodes:
                    if constant.op == "get_attr" and constant not in made:
                        root[str(constant.target)] = sparse.value(str(constant.target))
                        made[constant] = new.get_attr(str(constant.target))
                if node.op != "get_attr":
                    made[node] = new.node_copy(node, made.__getitem__)
            else:
                later.append(node)
        if later and len(made) == before:
            raise RuntimeError("parts of the network wait for each other")
        left = later
    module = fx.GraphModule(root, new, class_name="Network")
    module.graph.eliminate_dead_code()  # sizes that only parts were asked for
    module.graph.lint()
    module.recompile()
    return module


def _free_names(graph: fx.Graph, count: int) -> list[str]:
    """Names of parts: no constant has one, nor is in a module of this name."""
    taken = {str(n.target).partition(".")[0] for n in graph.nodes if n.op == "get_attr"}
    stem = "part"
    while any(name.startswith(f"{stem}_") for name in taken):
        stem += "_"
    return [f"{stem}_{i}" for i in range(count)]


def _call(graph: fx.Graph, made: dict[fx.Node, fx.Node], part: KernelPart, name: str) -> None:
    call = graph.call_module(name, tuple(made[n] for n in part.inputs))
    if len(part.outputs) == 1:
        made[part.outputs[0]] = call
        return
    for i, node in enumerate(part.outputs):
        made[node] = graph.call_function(operator.getitem, (call, i))
