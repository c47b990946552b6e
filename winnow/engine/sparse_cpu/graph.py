"""A whole network in training: its operations, buffers and trained numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.engine.base import EVALUATION_BATCH
from winnow.engine.sparse_cpu.loss import batch_correct, batch_cross_entropy
from winnow.engine.sparse_cpu.parameters import Parameters
from winnow.engine.sparse_cpu.places import Remasking
from winnow.engine.sparse_cpu.plan import make_plan, notes
from winnow.engine.sparse_cpu.product import Product
from winnow.engine.sparse_cpu.segments import run, segments
from winnow.engine.sparse_cpu.trace import Node, trace
from winnow.engine.sparse_cpu.values import Pass, Pool, delta_of, new_buffer
from winnow.kernels.arrays import padded
from winnow.kernels.simd import W
from winnow.state import State, load_weights

Numbers = NDArray[np.int64]


class Graph:
    """A network for images of shape ``image`` = (C, H, W) and batches of up to ``batch``.

    ``model`` becomes the graph's own: it keeps the buffers and what torch runs. ``in_torch``: names
    of the weights whose layers torch shall run, dense. Raises UnsupportedError with the reason for
    a network that cannot run.
    """

    def __init__(
        self,
        model: nn.Module,
        image: tuple[int, ...],
        batch: int,
        state: State,
        optimizer: Mapping[str, Any],
        in_torch: Collection[str] = (),
    ) -> None:
        load_weights(model, state)
        nodes, last = trace(model, image, in_torch)
        self.notes = notes(nodes, in_torch)
        self.model, self.image = model, image
        plan = make_plan(model, nodes, state.mask, batch)  # any batch: passes set the groups
        self.operations, self.parts = plan.operations, plan.parts
        self.way_back = [op for op in reversed(plan.operations) if op.trained]
        self.parameters = Parameters(plan.kept, state, optimizer)
        self.random = any(node.random for node in nodes)
        self.capacity = padded(max(batch, _evaluated_together(model)))
        self.x, self.logits = (plan.values[n] for n in (_images(nodes), last))
        self.classes = self.logits.map.group // W
        for value in set(plan.values.values()):
            value.buffer = new_buffer(value.map, self.capacity)
        self._free()
        self._plan_back()
        self.now = Pass()
        self._arrange()

    def _free(self) -> None:
        own = {id(p) for part in self.parts for p in part.parameters}
        for parameter in self.model.parameters():
            if id(parameter) not in own:  # its numbers lie in the arrays of `Parameters`
                parameter.data = torch.empty(0)

    def _arrange(self) -> None:
        """Find the trained numbers, and the steps for so many."""
        for operation in self.operations:
            operation.bind(self.parameters)
        self.forth = segments([s for op in self.operations for s in op.steps()])
        self.back = segments([s for op in self.way_back for s in op.steps_back()])

    def remask(self, change: Remasking) -> None:
        """Train on under another mask."""
        listed = {}
        for operation in self.operations:
            if isinstance(operation, Product) and operation.names[0] in change.relisted:
                name = operation.names[0]
                listed[name] = operation.relist(change.keep(name, self.parameters.shape(name)))
        self.parameters.remask(change, listed)
        self._arrange()

    def _plan_back(self) -> None:
        pool = Pool(self.capacity)
        self.logits.delta = new_buffer(self.logits.map, self.capacity)
        for operation in self.way_back:
            operation.plan_back(pool)

    def forward(self, batch: int, *, training: bool) -> None:
        """Logits of the ``batch`` images that lie in ``x``."""
        if self.parts and self.model.training != training:
            self.model.train(training)
        self.now.start(batch, training=training)
        for operation in self.operations:
            operation.begin()
        run(self.forth, self.now)

    def loss(self, labels: Numbers, examples: Numbers) -> float:
        """The summed loss of the batch; its mean's gradient goes to the logits."""
        self.now.take(0, self.now.total)
        logits, delta = self.logits.buffer[0], delta_of(self.logits, self.now)
        return batch_cross_entropy(self.classes, logits, labels, examples, delta)

    def correct(self, labels: Numbers, examples: Numbers) -> int:
        """How many examples of the batch have the right answer."""
        return batch_correct(self.classes, self.logits.buffer[0], labels, examples)

    def backward(self) -> None:
        """The gradient by all trained numbers, from that by the logits."""
        for operation in self.way_back:
            operation.begin_back()
        run(self.back, self.now)
        self.parameters.collect()

    def buffers(self) -> dict[str, Tensor]:
        """Copies of the network's buffers."""
        return {name: b.detach().clone() for name, b in self.model.named_buffers()}


def _images(nodes: Sequence[Node]) -> Node:
    return next(node for node in nodes if node.kind == "input")


def _evaluated_together(model: nn.Module) -> int:
    """How many images are evaluated at once at least: it matters where a batch's statistics do."""
    tracks = [getattr(m, "track_running_stats", True) for m in model.modules()]
    return 1 if all(tracks) else EVALUATION_BATCH
