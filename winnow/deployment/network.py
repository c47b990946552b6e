"""A network as a graph of ATen operations and its constants: what is shrunk, saved and run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode

from winnow.errors import UserError

_ANY = 2  # what a free size is where one has to be named


@dataclass(frozen=True)
class Input:
    """One input: the name of forward's argument, its shape (None: any size) and its dtype.

    ``sizes``: the example's shape, where a size has to be taken for one that may be any.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: torch.dtype
    sizes: tuple[int, ...] = ()

    def sized(self, batch: int | None = None, others: int | None = None) -> tuple[int, ...]:
        """A shape that fits: ``batch`` for a first dimension that is free, ``others`` for the other
        free ones; by default the example's.
        """
        own = self.sizes or tuple(_ANY if size is None else size for size in self.shape)
        asked = [batch if i == 0 else others for i in range(len(own))]
        return tuple(
            mine if size is not None or wanted is None else wanted
            for mine, size, wanted in zip(own, self.shape, asked, strict=True)
        )

    @property
    def free_lengths(self) -> list[int]:
        """The example's sizes of what is free behind the first dimension."""
        sizes = zip(self.sized(), self.shape, strict=True)
        return [size for size, fixed in list(sizes)[1:] if fixed is None]

    def check(self, value: object) -> None:
        """UserError for anything else."""
        if not isinstance(value, Tensor):
            raise UserError(f"input {self.name!r} is a {type(value).__name__}, not a tensor")
        if value.dtype != self.dtype or not self._fits(value.shape):
            wanted = ", ".join("any" if size is None else str(size) for size in self.shape)
            raise UserError(
                f"input {self.name!r} is {value.dtype} {list(value.shape)}: this network was "
                f"deployed for {self.dtype} [{wanted}]"
            )

    def _fits(self, shape: tuple[int, ...]) -> bool:
        if shape[1:] == self.shape[1:]:  # the usual case, which is called for every forward pass
            return bool(shape) and self.shape[0] in (None, shape[0])
        sizes = zip(shape, self.shape, strict=False)
        return len(shape) == len(self.shape) and all(b in (a, None) for a, b in sizes)


@dataclass(frozen=True, eq=False)
class Network:
    """A network that its graph alone describes, without the class that it comes from.

    ``graph``: a placeholder for each of ``inputs``, ``get_attr`` nodes whose targets are names of
    ``constants``, calls of ATen functions without side effects (and of getitem, and of arithmetic
    on sizes), and an output: a tuple of tensors. ``outputs`` says what forward makes of that tuple,
    as `winnow.deployment.outputs` does.
    """

    graph: fx.Graph
    constants: Mapping[str, Tensor]
    inputs: tuple[Input, ...]
    outputs: Any

    def runnable(self) -> fx.GraphModule:
        """Torch's own operations, in order: takes the inputs, returns the tuple of tensors."""
        used = {str(n.target) for n in self.graph.nodes if n.op == "get_attr"}
        root: Any = {name: self.constants[name] for name in sorted(used)}
        module = fx.GraphModule(root, self.graph, class_name="Network")
        self.graph.owning_module = None  # constants may be added to the graph later
        return module

    def shapes(self, batch: int | None = None, others: int | None = None) -> dict[str, Any]:
        """What every node gives, by its name, as fake tensors (a shape and a dtype, no values).

        ``batch``: the size of every first dimension that is free; ``others``: of the others; by
        default the example's.
        """
        recorder = _Recorder(self.runnable())
        with FakeTensorMode(allow_non_fake_inputs=True) as fake, torch.no_grad():
            given = [
                fake.from_tensor(torch.empty(one.sized(batch, others), dtype=one.dtype))
                for one in self.inputs
            ]
            recorder.run(*given)
        return recorder.values

    def bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
        """The inputs in order, from what forward was called with.

        TypeError for missing and unknown ones, as Python raises; UserError for shapes and dtypes
        that the network was not captured for.
        """
        if not kwargs and len(args) == len(self.inputs):
            for one, value in zip(self.inputs, args, strict=True):
                one.check(value)
            return list(args)
        names = [one.name for one in self.inputs]
        if len(args) > len(names):
            raise TypeError(f"forward takes {len(names)} inputs and got {len(args)}")
        given = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name not in names or name in given:
                what = "got twice" if name in given else f"not one of {', '.join(names)}"
                raise TypeError(f"forward: input {name!r} is {what}")
            given[name] = value
        if missing := [name for name in names if name not in given]:
            raise TypeError(f"forward lacks its input {missing[0]!r}")
        for one in self.inputs:
            one.check(given[one.name])
        return [given[name] for name in names]


class _Recorder(fx.Interpreter):
    """Keeps what every node gives."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.values[n.name] = value
        return value
