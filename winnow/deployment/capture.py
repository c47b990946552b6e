"""From a module to its `Network`: ATen operations, found by ``torch.export``."""

from __future__ import annotations

import copy
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from winnow.deployment.network import Input, Network
from winnow.deployment.outputs import flat
from winnow.errors import UserError
from winnow.selection import uncompiled

_PREFIX = "model."


def capture(model: nn.Module, example_input: Any) -> Network:
    """The forward pass of a module in evaluation, as a graph.

    ``example_input``: (B, …), a tuple of forward's arguments, or a mapping of them by name. The
    batch (the first dimension of every input) may have another size later where the forward pass
    allows it, and so may the second one of integers (tokens). The module may be in any mode and
    stays as it is; the constants are copies.

    Raises UserError where ``torch.export`` cannot follow the forward pass, with its reason.
    """
    given = arguments_of(model, example_input)
    own = copy.deepcopy(uncompiled(model)).eval().cpu().requires_grad_(False)
    plain = _Plain(own, isinstance(example_input, Mapping), list(given))
    examples = [_two(value) for value in given.values()]
    with torch.no_grad():
        structure = flat(plain.returned([value.clone() for value in examples]), [])
    network = _network(_exported(plain, examples), tuple(given), structure)
    if _is_two_of_one(network, given):  # forward fixes the batch: at that of the example, then
        network = _network(_exported(plain, list(given.values())), tuple(given), structure)
    return network


def arguments_of(model: nn.Module, example_input: Any) -> dict[str, Tensor]:
    """An example by the names of forward's arguments, on the CPU.

    UserError where a value is no tensor or has no example in it.
    """
    if isinstance(example_input, Mapping):
        given = {str(name): value for name, value in example_input.items()}
    else:
        values = example_input if isinstance(example_input, tuple) else (example_input,)
        given = dict(zip(_names(model, len(values)), values, strict=True))
    for name, value in given.items():
        if not isinstance(value, Tensor):
            raise UserError(
                f"example_input: {name} is a {type(value).__name__}: give a tensor (B, …), a tuple "
                "of the arguments of forward, or a dict of them by name"
            )
        if value.dim() == 0 or 0 in value.shape:
            raise UserError(
                f"example_input: {name} has the shape {list(value.shape)}: give at least one "
                "example, with the batch as first dimension"
            )
    return {name: value.detach().cpu() for name, value in given.items()}


def _names(model: nn.Module, count: int) -> list[str]:
    """The names of forward's first arguments; numbers where it has only ``*args``."""
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = inspect.signature(uncompiled(model).forward).parameters.values()
    names = [p.name for p in known if p.kind in plain][:count]
    return names + [f"input_{i}" for i in range(len(names), count)]


class _Plain(nn.Module):
    """A model that takes a list of tensors and returns a tuple of them."""

    def __init__(self, model: nn.Module, by_name: bool, names: list[str]) -> None:
        super().__init__()
        self.model, self.by_name, self.names = model, by_name, names

    def returned(self, given: list[Tensor]) -> Any:
        """What the model itself returns."""
        if self.by_name:
            return self.model(**dict(zip(self.names, given, strict=True)))
        return self.model(*given)

    def forward(self, given: list[Tensor]) -> tuple[Tensor, ...]:
        tensors: list[Tensor] = []
        flat(self.returned(given), tensors)
        return tuple(tensors)


def _exported(plain: _Plain, given: list[Tensor]) -> ExportedProgram:
    free = ([_free(value) for value in given],)
    try:
        with silent():
            program: ExportedProgram = torch.export.export(
                plain, (given,), dynamic_shapes=free, strict=False
            )
            functional: ExportedProgram = program.run_decompositions({})
            return functional
    except UserError:
        raise
    except Exception as error:  # whatever a user's forward raises while it is traced
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"torch.export cannot follow {type(plain.model).__name__} ({type(error).__name__}: "
            f"{reason}): move what depends on values out of its forward"
        ) from error


@contextmanager
def silent() -> Iterator[None]:
    """Without the warnings and log lines of what is called inside."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _two(value: Tensor) -> Tensor:
    """At least two examples: ``torch.export`` takes a size of 1 for a constant."""
    return torch.cat([value, value]) if len(value) == 1 else value


def _is_two_of_one(network: Network, given: Mapping[str, Tensor]) -> bool:
    """Whether a network takes the two examples that `_two` made of one, and no other number."""
    return any(one.shape[0] == 2 and len(given[one.name]) == 1 for one in network.inputs)


def _free(value: Tensor) -> dict[int, Any]:
    many = 1 if value.is_floating_point() else 2
    return {i: Dim.AUTO for i in range(min(many, value.dim())) if value.shape[i] > 1}


def _network(program: ExportedProgram, names: tuple[str, ...], structure: Any) -> Network:
    graph = fx.Graph()
    constants: dict[str, Tensor] = {}
    inputs: list[Input] = []
    copied: dict[fx.Node, fx.Node] = {}
    kept: dict[Any, str] = {}  # tied weights are one constant
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    placed = {node.name: node for node in program.graph.nodes}
    given = [placed[n] for n, spec in specs.items() if spec.kind is InputKind.USER_INPUT]
    for name, node in zip(names, given, strict=True):  # first: constants may have the same names
        copied[node] = graph.placeholder(name)
        inputs.append(_input(name, node.meta["val"]))
    for node in program.graph.nodes:
        if node.op == "output":
            graph.output(tuple(copied[n] for n in _returned(program, node)))
        elif node.op != "placeholder":
            copied[node] = graph.node_copy(node, copied.__getitem__)
            copied[node].meta = {}  # values of the trace, which nothing here needs
        elif node not in copied:
            target = str(specs[node.name].target)
            value = _constant(program, target)
            name = kept.setdefault(_place(value), target.removeprefix(_PREFIX))
            constants.setdefault(name, value.clone())
            copied[node] = graph.get_attr(name)
    graph.eliminate_dead_code()
    return Network(graph, constants, tuple(inputs), structure)


def _input(name: str, value: Any) -> Input:
    sizes = tuple(_fixed(size) for size in value.shape)
    hints = [s.node.hint if isinstance(s, torch.SymInt) else s for s in value.shape]
    return Input(name, sizes, value.dtype, tuple(int(hint) for hint in hints))


def _fixed(size: Any) -> int | None:
    """A size that the forward pass allows alone; None where it may differ."""
    if not isinstance(size, torch.SymInt):
        return int(size)
    known: int | None = size.node.maybe_as_int()  # such as where a constant was added
    return known


def _constant(program: ExportedProgram, target: str) -> Tensor:
    found = program.state_dict.get(target)
    value: Tensor = program.constants[target] if found is None else found
    return value.detach()


def _place(value: Tensor) -> Any:
    """Where in memory a tensor is, so that two names of one are found."""
    if not value.numel():
        return id(value)
    return value.data_ptr(), value.shape, value.stride(), value.dtype


def _returned(program: ExportedProgram, node: fx.Node) -> list[fx.Node]:
    """What forward returns, without what it leaves in its arguments.

    UserError where it leaves something in a buffer.
    """
    specs = program.graph_signature.output_specs
    for spec in specs:
        if spec.kind is OutputKind.BUFFER_MUTATION:
            raise UserError(
                f"forward changes its buffer {str(spec.target).removeprefix(_PREFIX)!r}: what is "
                "deployed keeps nothing between calls, so leave the buffer alone in evaluation"
            )
    given: Any = node.args[0]
    kinds = [spec.kind for spec in specs]
    return [n for n, kind in zip(given, kinds, strict=True) if kind is OutputKind.USER_OUTPUT]
