"""Parts of a network that torch runs: what has no kernel here, and layers that are faster dense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from winnow.engine.sparse_cpu.convert import pack, unpack
from winnow.engine.sparse_cpu.parameters import Parameters
from winnow.engine.sparse_cpu.trace import Node, attribute, parameters_of
from winnow.engine.sparse_cpu.values import Pass, Pool, Step, Value, delta_of
from winnow.kernels.arrays import Floats


@dataclass
class Loose:
    """What one part hands to another inside torch: any object, and gradients by tensors."""

    values: dict[str, Any] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)


class TorchPart:
    """Some nodes of the trace, run in order, with autograd for the way back.

    ``inputs`` and ``outputs``: nodes outside whose values come in, nodes inside whose values other
    operations use, with these values. ``lent``: nodes inside whose values only other parts use.
    """

    def __init__(
        self,
        model: nn.Module,
        nodes: list[Node],
        inputs: Mapping[Node, Value],
        outputs: Mapping[Node, Value],
        lent: list[Node],
        loose: Loose,
    ) -> None:
        self.model, self.nodes, self.loose = model, nodes, loose
        self.inputs, self.outputs, self.lent = inputs, outputs, lent
        inside = set(nodes)
        self.borrowed = sorted(
            {s.fx.name for n in nodes for s in n.inputs if s not in inside and s not in inputs}
        )
        self.names = _parameters(model, nodes)
        self.parameters = [dict(model.named_parameters())[name] for name in self.names]
        self.trained = bool(
            self.parameters or any(v.trained for v in inputs.values()) or self.borrowed
        )
        self.copies = any(n.in_place for n in nodes)
        self.gradients: list[Floats] = []
        self.accumulate: list[tuple[Node, Value, bool]] = []
        self.leaves: dict[str, Tensor] = {}
        self.results: dict[str, Tensor] = {}

    def bind(self, parameters: Parameters) -> None:
        """Let the model's own parameters lie in the arrays that are trained."""
        self.gradients = []
        for name, parameter in zip(self.names, self.parameters, strict=True):
            weight, gradient = parameters.dense(name)
            parameter.data = torch.from_numpy(weight).view(parameters.shape(name))
            self.gradients.append(gradient)

    def begin(self) -> None:
        """Nothing."""

    def begin_back(self) -> None:
        """Gradients of parts add up, as several may use one parameter."""
        for gradient in self.gradients:
            gradient[:] = np.float32(0)

    def steps(self) -> list[Step]:
        return [Step(self.forward, whole=True)]

    def steps_back(self) -> list[Step]:
        return [Step(self.backward, whole=True)]

    # ---- forward

    def forward(self, now: Pass) -> None:
        with torch.set_grad_enabled(now.training):
            given = {n.fx.name: self._tensor(n, v, now) for n, v in self.inputs.items()}
            given |= {name: self._borrow(name, now) for name in self.borrowed}
            values = self._run(given, now)
        kept = [*self.outputs, *self.lent]
        self.results = {n.fx.name: values[n.fx.name] for n in kept}
        for node in self.lent:
            self.loose.values[node.fx.name] = values[node.fx.name]
        for node, value in self.outputs.items():
            images = values[node.fx.name].detach().contiguous().view(-1).numpy()
            pack(value.map.dims, now.batch, images, value.buffer[0], False)

    def _tensor(self, node: Node, value: Value, now: Pass) -> Tensor:
        """A value as torch has it; a leaf where its gradient is wanted."""
        assert node.shape is not None
        tensor = torch.empty(now.batch, *node.shape)
        unpack(value.map.dims, now.batch, value.buffer[0], tensor.view(-1).numpy(), False)
        if value.trained and now.training:
            tensor.requires_grad_()
            self.leaves[node.fx.name] = tensor
            return tensor.clone() if self.copies else tensor
        return tensor

    def _borrow(self, name: str, now: Pass) -> Any:
        value = self.loose.values[name]
        if now.training and isinstance(value, Tensor) and value.requires_grad:
            leaf = value.detach().requires_grad_()
            self.leaves[name] = leaf
            return leaf.clone() if self.copies else leaf
        return value

    def _run(self, values: dict[str, Any], now: Pass) -> dict[str, Any]:
        for node in self.nodes:
            step = node.fx if now.training else node.fx_eval
            args = fx.node.map_arg(step.args, lambda n: values[n.name])
            kwargs = fx.node.map_arg(step.kwargs, lambda n: values[n.name])
            values[step.name] = _call(self.model, step, args, kwargs)
        return values

    # ---- back

    def plan_back(self, pool: Pool) -> None:
        for node, value in self.inputs.items():
            if value.trained:
                self.accumulate.append((node, value, pool.claim(value)[0]))
        for value in self.outputs.values():
            if value.delta is not None:
                pool.release(value)

    def backward(self, now: Pass) -> None:
        ends, slopes = self._incoming(now)
        wanted = [*self.leaves.values(), *self.parameters]
        found: tuple[Tensor | None, ...] = (None,) * len(wanted)
        if ends and wanted:
            found = torch.autograd.grad(ends, wanted, slopes, allow_unused=True)
        by_leaf = dict(zip(self.leaves, found, strict=False))
        for gradient, total in zip(found[len(self.leaves) :], self.gradients, strict=True):
            if gradient is not None:
                total += gradient.reshape(-1).numpy()
        self._outgoing(by_leaf, now)
        self.leaves, self.results = {}, {}

    def _incoming(self, now: Pass) -> tuple[list[Tensor], list[Tensor]]:
        """The results that have gradients, and these."""
        ends, slopes = [], []
        for node, value in self.outputs.items():
            result = self.results[node.fx.name]
            if result.requires_grad and value.delta is not None:
                slope = torch.empty(result.shape)
                unpack(
                    value.map.dims,
                    now.batch,
                    delta_of(value, now),
                    slope.view(-1).numpy(),
                    False,
                )
                ends.append(result)
                slopes.append(slope)
        for node in self.lent:
            result, lent = self.results[node.fx.name], self.loose.gradients.pop(node.fx.name, None)
            if lent is not None:
                ends.append(result)
                slopes.append(lent)
        return ends, slopes

    def _outgoing(self, by_leaf: Mapping[str, Tensor | None], now: Pass) -> None:
        for node, value, accumulate in self.accumulate:
            gradient = by_leaf[node.fx.name]
            if gradient is None:
                gradient = torch.zeros(now.batch, *(node.shape or ()))
            images = gradient.contiguous().view(-1).numpy()
            pack(value.map.dims, now.batch, images, delta_of(value, now), accumulate)
        for name in self.borrowed:
            gradient = by_leaf.get(name)
            if gradient is not None:
                before = self.loose.gradients.get(name)
                self.loose.gradients[name] = gradient if before is None else before + gradient


def _parameters(model: nn.Module, nodes: list[Node]) -> list[str]:
    """The names of the parameters that some nodes use."""
    known = {id(p): name for name, p in model.named_parameters()}
    used = (p for node in nodes for p in parameters_of(model, node.fx))
    return list(dict.fromkeys(known[id(p)] for p in used))


def _call(model: nn.Module, step: fx.Node, args: Any, kwargs: Any) -> Any:
    match step.op:
        case "get_attr":
            return attribute(model, str(step.target))
        case "call_module":
            return model.get_submodule(str(step.target))(*args, **kwargs)
        case "call_method":
            return getattr(args[0], str(step.target))(*args[1:], **kwargs)
        case _:
            function: Any = step.target
            return function(*args, **kwargs)
