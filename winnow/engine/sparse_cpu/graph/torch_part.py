"""Parts of a network that torch runs: what has no kernel here, and layers that are faster dense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from winnow.engine.sparse_cpu.graph.activations import Activation, Views
from winnow.engine.sparse_cpu.graph.gradients import Gradients, Share
from winnow.engine.sparse_cpu.graph.parameters import Parameters
from winnow.engine.sparse_cpu.graph.stages import Pass, Stage
from winnow.engine.sparse_cpu.graph.trace import TracedNode, attribute, parameters_of
from winnow.engine.sparse_cpu.kernels.convert import images_to_map, map_to_images
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
        nodes: list[TracedNode],
        inputs: Mapping[TracedNode, Activation],
        outputs: Mapping[TracedNode, Activation],
        lent: list[TracedNode],
        loose: Loose,
    ) -> None:
        self.model, self.nodes, self.loose = model, nodes, loose
        self.inputs, self.outputs, self.lent = inputs, outputs, lent
        inside = set(nodes)
        self.borrowed = sorted(
            {s.traced.name for n in nodes for s in n.inputs if s not in inside and s not in inputs}
        )
        self.names = _parameters(model, nodes)
        self.parameters = [dict(model.named_parameters())[name] for name in self.names]
        self.trained = bool(
            self.parameters or any(v.trained for v in inputs.values()) or self.borrowed
        )
        self.copies = any(n.in_place for n in nodes)
        self.gradients: list[Floats] = []
        self.into: list[tuple[TracedNode, Activation, Share]] = []
        self.deltas: dict[TracedNode, Views] = {}
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

    def stages(self) -> list[Stage]:
        return [Stage(self.forward, whole=True)]

    def stages_back(self) -> list[Stage]:
        return [Stage(self.backward, whole=True)]

    # ---- forward

    def forward(self, now: Pass) -> None:
        with torch.set_grad_enabled(now.training):
            given = {n.traced.name: self._tensor(n, v, now) for n, v in self.inputs.items()}
            given |= {name: self._borrow(name, now) for name in self.borrowed}
            values = self._run(given, now)
        kept = [*self.outputs, *self.lent]
        self.results = {n.traced.name: values[n.traced.name] for n in kept}
        for node in self.lent:
            self.loose.values[node.traced.name] = values[node.traced.name]
        for node, value in self.outputs.items():
            images = values[node.traced.name].detach().contiguous().view(-1).numpy()
            images_to_map(value.map.dims, now.batch, images, value.buffer[0], False)

    def _tensor(self, node: TracedNode, value: Activation, now: Pass) -> Tensor:
        """A value as torch has it; a leaf where its gradient is wanted."""
        assert node.shape is not None
        tensor = torch.empty(now.batch, *node.shape)
        map_to_images(value.map.dims, now.batch, value.buffer[0], tensor.view(-1).numpy(), False)
        if value.trained and now.training:
            tensor.requires_grad_()
            self.leaves[node.traced.name] = tensor
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
            call = node.traced if now.training else node.traced_eval
            args = fx.node.map_arg(call.args, lambda n: values[n.name])
            kwargs = fx.node.map_arg(call.kwargs, lambda n: values[n.name])
            values[call.name] = _called(self.model, call, args, kwargs)
        return values

    # ---- back

    def plan_back(self, gradients: Gradients) -> None:
        for node, value in self.inputs.items():
            if value.trained:
                self.into.append((node, value, gradients.claim(value)))
        for node, value in self.outputs.items():
            if gradients.begun(value):
                self.deltas[node] = gradients.of(value).views
                gradients.release(value)

    def backward(self, now: Pass) -> None:
        ends, slopes = self._incoming(now)
        wanted = [*self.leaves.values(), *self.parameters]
        made: tuple[Tensor | None, ...] = (None,) * len(wanted)
        if ends and wanted:
            made = torch.autograd.grad(ends, wanted, slopes, allow_unused=True)
        by_leaf = dict(zip(self.leaves, made, strict=False))
        for gradient, total in zip(made[len(self.leaves) :], self.gradients, strict=True):
            if gradient is not None:
                total += gradient.reshape(-1).numpy()
        self._outgoing(by_leaf, now)
        self.leaves, self.results = {}, {}

    def _incoming(self, now: Pass) -> tuple[list[Tensor], list[Tensor]]:
        """The results that have gradients, and these."""
        ends, slopes = [], []
        for node, value in self.outputs.items():
            result = self.results[node.traced.name]
            if result.requires_grad and node in self.deltas:
                slope = torch.empty(result.shape)
                delta = self.deltas[node][now.first]
                map_to_images(value.map.dims, now.batch, delta, slope.view(-1).numpy(), False)
                ends.append(result)
                slopes.append(slope)
        for node in self.lent:
            result, lent = (
                self.results[node.traced.name],
                self.loose.gradients.pop(node.traced.name, None),
            )
            if lent is not None:
                ends.append(result)
                slopes.append(lent)
        return ends, slopes

    def _outgoing(self, by_leaf: Mapping[str, Tensor | None], now: Pass) -> None:
        for node, value, share in self.into:
            gradient = by_leaf[node.traced.name]
            if gradient is None:
                gradient = torch.zeros(now.batch, *(node.shape or ()))
            images = gradient.contiguous().view(-1).numpy()
            into = share.views[now.first]
            images_to_map(value.map.dims, now.batch, images, into, share.accumulate)
        for name in self.borrowed:
            gradient = by_leaf.get(name)
            if gradient is not None:
                before = self.loose.gradients.get(name)
                self.loose.gradients[name] = gradient if before is None else before + gradient


def _parameters(model: nn.Module, nodes: list[TracedNode]) -> list[str]:
    """The names of the parameters that some nodes use."""
    known = {id(p): name for name, p in model.named_parameters()}
    used = (p for node in nodes for p in parameters_of(model, node.traced))
    return list(dict.fromkeys(known[id(p)] for p in used))


def _called(model: nn.Module, call: fx.Node, args: Any, kwargs: Any) -> Any:
    match call.op:
        case "get_attr":
            return attribute(model, str(call.target))
        case "call_module":
            return model.get_submodule(str(call.target))(*args, **kwargs)
        case "call_method":
            return getattr(args[0], str(call.target))(*args[1:], **kwargs)
        case _:
            function: Any = call.target
            return function(*args, **kwargs)
