"""A whole network in training: its operations, buffers and trained numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.base import EVALUATION_BATCH
from winnow.engine.sparse_cpu.graph.gradients import Gradients
from winnow.engine.sparse_cpu.graph.kinds import OperationKind
from winnow.engine.sparse_cpu.graph.notes import torch_notes
from winnow.engine.sparse_cpu.graph.parameters import Parameters
from winnow.engine.sparse_cpu.graph.plan import graph_plan
from winnow.engine.sparse_cpu.graph.product import Product
from winnow.engine.sparse_cpu.graph.segments import run_segments, segments
from winnow.engine.sparse_cpu.graph.stages import MOST_LANES, Pass, Scratch
from winnow.engine.sparse_cpu.graph.storage import Storage
from winnow.engine.sparse_cpu.graph.trace import TracedNode, trace
from winnow.engine.sparse_cpu.kernels.halves import narrow, widen
from winnow.engine.sparse_cpu.kernels.loss import batch_correct, batch_cross_entropy
from winnow.engine.sparse_cpu.places import Remasking
from winnow.engine.sparse_cpu.team import Team
from winnow.kernels.arrays import Floats, Int64s, aligned, padded
from winnow.kernels.simd import W
from winnow.state import State, load_weights


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
        team: Team | None = None,
        storage: Storage = Storage.FLOAT32,
    ) -> None:
        """``team``: the threads that share the work, none but the calling one by default.

        ``storage``: of activations and gradients; of images and logits, too.
        """
        load_weights(model, state)
        nodes, last = trace(model, image, in_torch)
        self.notes = torch_notes(nodes, in_torch)
        self.model, self.image, self.storage = model, image, storage
        self.capacity = padded(max(batch, _evaluated_together(model)))
        plan = graph_plan(model, nodes, state.mask, batch, self.capacity, storage)
        self.operations, self.parts = plan.operations, plan.parts
        self.products = [op for op in plan.operations if isinstance(op, Product)]
        self.way_back = [op for op in reversed(plan.operations) if op.trained]
        self.parameters = Parameters(plan.kept, state, optimizer)
        self.random = any(node.random for node in nodes)
        self.x, self.logits = (plan.activations[n] for n in (_images(nodes), last))
        self.classes = self.logits.map.group // W
        self._free()
        gradients = Gradients(plan.uses, self.capacity, storage)
        self.logits_delta = gradients.begin(self.logits)
        for operation in self.way_back:
            operation.plan_back(gradients)
        scratch = Scratch()
        self.passes = [Pass(lane, scratch, storage) for lane in range(MOST_LANES)]
        self.team = team or Team()
        self._arrange()

    def _free(self) -> None:
        own = {id(p) for part in self.parts for p in part.parameters}
        for parameter in self.model.parameters():
            if id(parameter) not in own:  # its numbers lie in the arrays of `Parameters`
                parameter.data = torch.empty(0)

    def _arrange(self) -> None:
        """Find the trained numbers, and the stages for so many."""
        for operation in self.operations:
            operation.bind(self.parameters)
        self.forth = segments([s for op in self.operations for s in op.stages()])
        self.back = segments([s for op in self.way_back for s in op.stages_back()])

    def remask(self, change: Remasking) -> None:
        """Train on under another mask."""
        listed = {}
        for product in self.products:
            if (name := product.names[0]) in change.relisted:
                listed[name] = product.relist(change.keep(name, self.parameters.shape(name)))
        self.parameters.remask(change, listed)
        self._arrange()

    def forward(self, batch: int, *, training: bool) -> None:
        """Logits of the ``batch`` images that lie in ``x``."""
        if self.parts and self.model.training != training:
            self.model.train(training)
        for now in self.passes:
            now.start(batch, training=training)
        for operation in self.operations:
            operation.begin()
        run_segments(self.forth, self.passes, self.team)

    def loss(self, labels: Int64s, examples: Int64s) -> float:
        """The summed loss of the batch; its mean's gradient goes to the logits."""
        logits, stored = self._logits(), self.logits_delta[0]
        delta = logits.copy() if self.storage is Storage.BF16 else stored
        loss = batch_cross_entropy(self.classes, logits, labels, examples, delta)
        if delta is not stored:
            narrow(delta, stored)
        return loss

    def correct(self, labels: Int64s, examples: Int64s) -> int:
        """How many examples of the batch have the right answer."""
        return batch_correct(self.classes, self._logits(), labels, examples)

    def _logits(self) -> Floats:
        """The logits as float32."""
        stored = self.logits.buffer[0]
        if self.storage is Storage.FLOAT32:
            return stored
        logits = aligned(stored.size, 0.0)
        widen(stored, logits)
        return logits

    def backward(self) -> None:
        """The gradient by all trained numbers, from that by the logits."""
        for operation in self.way_back:
            operation.begin_back()
        run_segments(self.back, self.passes, self.team)
        for product in self.products:
            product.end_back()
        self.parameters.collect()

    def buffers(self) -> dict[str, Tensor]:
        """Copies of the network's buffers."""
        return {name: b.detach().clone() for name, b in self.model.named_buffers()}


def _images(nodes: Sequence[TracedNode]) -> TracedNode:
    return next(node for node in nodes if node.kind is OperationKind.INPUT)


def _evaluated_together(model: nn.Module) -> int:
    """How many images are evaluated at once at least: it matters where a batch's statistics do."""
    tracks = [getattr(m, "track_running_stats", True) for m in model.modules()]
    return 1 if all(tracks) else EVALUATION_BATCH
