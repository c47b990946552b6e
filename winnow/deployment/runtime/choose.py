"""Which layers kernels run and which ones torch runs: what is faster here, by measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from winnow.deployment.runtime.assemble import Program
from winnow.deployment.runtime.kernels import code
from winnow.deployment.runtime.plan import ExecutionPlan, SparseNetwork, plan
from winnow.deployment.runtime.recognise import Known
from winnow.deployment.runtime.steps import ProductStep
from winnow.engine.turns import Repeat, in_turns, machine
from winnow.kernels.arrays import Floats, aligned

BATCHES = (1, 16, 64)
"""Numbers of examples for which it is measured; another one runs as the nearest of these does."""

_TURNS = 5
_TURN = 1e-3  # seconds of a turn


@dataclass(frozen=True)
class LayerChoice:
    """One layer: seconds a call by kernels and by torch, and whether torch runs it."""

    name: str
    density: float
    kernels: float
    torch: float
    in_torch: bool

    @property
    def pays_below(self) -> float:
        """The density at which both take as long: the kernels' time falls with it."""
        return min(self.density * self.torch / self.kernels, 1.0) if self.kernels > 0 else 1.0


@dataclass(frozen=True)
class BatchChoice:
    """How batches of about this size are run, and what was measured: seconds a call of each way.

    ``way``: "kernels" (every layer that they know), "torch" (none), or "both" (layer by layer).
    """

    batch: int
    way: str
    seconds: Mapping[str, float]
    layers: tuple[LayerChoice, ...]
    lanes: tuple[Mapping[int, float], ...]

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self) | {"lanes": [{str(n): s for n, s in of.items()} for of in self.lanes]}


def choice_of(plain: Mapping[str, Any]) -> BatchChoice:
    """What `BatchChoice.plain` wrote. KeyError, TypeError, ValueError for anything else."""
    layers = tuple(_layer_of(**one) for one in plain["layers"])
    seconds = {str(way): float(s) for way, s in plain["seconds"].items()}
    lanes = tuple({int(n): float(s) for n, s in of.items()} for of in plain["lanes"])
    if plain["way"] not in seconds:
        raise ValueError(f"{plain['way']!r} is none of the ways that were measured")
    return BatchChoice(int(plain["batch"]), plain["way"], seconds, layers, lanes)


def _layer_of(
    name: str, density: float, kernels: float, torch: float, in_torch: bool
) -> LayerChoice:
    return LayerChoice(str(name), float(density), float(kernels), float(torch), bool(in_torch))


def chosen(sparse: SparseNetwork, known: Known, batch: int) -> tuple[ExecutionPlan, BatchChoice]:
    """The fastest way to run a batch of this size, on the threads that torch has now."""
    all_layers = plan(sparse, known)
    lanes = [_timed_lanes(runner.programs, runner.seconds) for runner in all_layers.runners]
    layers = _layers(sparse, known, all_layers)
    slower = _slower(layers)
    ways = {"kernels": all_layers, "torch": plan(sparse, known, tuple(layers))}
    if slower and len(slower) < len(layers):
        ways["both"] = plan(sparse, known, slower)
        for runner in ways["both"].runners:
            _timed_lanes(runner.programs, runner.seconds)
    given = made_inputs(sparse, batch)
    can = {way: made for way, made in ways.items() if way == "torch" or made.parts}
    seconds = least_seconds({way: _call(made.module, given) for way, made in can.items()})
    way = min(seconds, key=lambda name: seconds[name])
    in_torch = {"kernels": set[fx.Node](), "torch": set(layers), "both": slower}[way]
    listed = tuple(
        LayerChoice(one.name, one.density, one.kernels, one.torch, node in in_torch)
        for node, one in layers.items()
    )
    lanes = [dict(runner.seconds) for runner in ways[way].runners]
    return ways[way], BatchChoice(batch, way, seconds, listed, tuple(lanes))


def plan_chosen(sparse: SparseNetwork, known: Known, choice: BatchChoice) -> ExecutionPlan:
    """The plan that was chosen before, without measuring. ValueError where it does not fit."""
    named = {layer.name for layer in choice.layers if layer.in_torch}
    nodes = [
        node
        for node in sparse.network.graph.nodes
        for given in node.all_input_nodes
        if given.op == "get_attr" and str(given.target) in named
    ]
    if choice.way == "torch":
        return plan(sparse, known, list(sparse.network.graph.nodes))
    made = plan(sparse, known, nodes)
    if [set(of) for of in choice.lanes] != [set(r.programs) for r in made.runners]:
        raise ValueError("what was measured is of another network")
    for runner, seconds in zip(made.runners, choice.lanes, strict=True):
        runner.seconds.update(seconds)
    return made


def made_inputs(sparse: SparseNetwork, batch: int) -> list[Tensor]:
    """Inputs of the right shapes and kinds: normal numbers, or zeros where they are whole."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for one in sparse.network.inputs:
        shape = one.sized(batch)
        if one.dtype.is_floating_point:
            made.append(torch.randn(shape, generator=generator, dtype=one.dtype))
        else:
            made.append(torch.zeros(shape, dtype=one.dtype))
    return made


def least_seconds(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The least seconds of each call, in turns: what disturbs only adds."""
    sides = {name: _repeated(call) for name, call in calls.items()}
    return {name: min(times) for name, times in in_turns(sides, 0.0, _TURN, _TURNS).items()}


def _repeated(call: Callable[[], object]) -> Repeat:
    def repeat(count: int) -> None:
        for _ in range(count):
            call()

    return repeat


def _call(module: fx.GraphModule, given: Sequence[Tensor]) -> Callable[[], object]:
    def call() -> object:
        with torch.no_grad():
            return module(*given)

    return call


def _timed_lanes(programs: Mapping[int, Program], seconds: dict[int, float]) -> dict[int, float]:
    """Measure one call of each program; the times go to ``seconds``."""
    timed = least_seconds({str(n): _rows(p, 0, p.length) for n, p in programs.items()})
    seconds.update({n: timed[str(n)] for n in programs})
    return seconds


def _rows(program: Program, begin: int, end: int) -> Callable[[], object]:
    p, arena = program, aligned(program.floats, 0.0)
    most = max(*program.inputs, *program.outputs) * program.lanes
    x: Floats = np.zeros(most, np.float32)
    out: Floats = np.zeros(most, np.float32)

    def run() -> None:
        p.run(p.code, begin, end, 0, *p.held, arena, x, out)

    return run


def _layers(sparse: SparseNetwork, known: Known, made: ExecutionPlan) -> dict[fx.Node, LayerChoice]:
    """Every layer that kernels know, measured alone."""
    layers = {}
    for part, runner in zip(made.parts, made.runners, strict=True):
        best = min(runner.programs, key=lambda n: runner.seconds[n] / n)
        program = runner.programs[best]
        products = [s for s in part.steps.steps if isinstance(s, ProductStep)]
        for step, (begin, end) in zip(products, _product_rows(program), strict=True):
            node = part.layers[step]
            count = known.examples(node)
            taken = least_seconds(
                {"kernels": _rows(program, begin, end), "torch": _in_torch(sparse, node, known)}
            )
            ours, theirs = taken["kernels"] / best * count, taken["torch"]
            name = step.weights.name
            layers[node] = LayerChoice(name, step.weights.density, ours, theirs, theirs < ours)
    return layers


def _slower(layers: Mapping[fx.Node, LayerChoice]) -> set[fx.Node]:
    """The layers that torch runs faster; those of one weight together."""
    saved: dict[str, float] = {}
    for layer in layers.values():
        saved[layer.name] = saved.get(layer.name, 0.0) + layer.torch - layer.kernels
    return {node for node, layer in layers.items() if saved[layer.name] < 0}


def _product_rows(program: Program) -> list[tuple[int, int]]:
    """The rows of each product, with those that split its input into phases."""
    found, first = [], None
    for i in range(program.length):
        operation = program.code[i * code.WIDTH + code.OPERATION]
        if operation == code.PHASES:
            first = i
        elif operation in (code.MULTIPLY, code.DOTS):
            found.append((i if first is None else first, i + 1))
            first = None
    return found


def _in_torch(sparse: SparseNetwork, node: fx.Node, known: Known) -> Callable[[], object]:
    def given(one: fx.Node) -> Tensor:
        if one.op == "get_attr":
            return sparse.value(str(one.target))
        return torch.zeros(known.shape(one) or ())

    args, kwargs = fx.node.map_arg((node.args, node.kwargs), given)
    function: Any = node.target

    def run() -> object:
        with torch.no_grad():
            return function(*args, **kwargs)

    return run


def measured_on() -> dict[str, Any]:
    """What measured times hold for: the processor, the libraries, and torch's threads."""
    return {**machine(), "threads": torch.get_num_threads()}
