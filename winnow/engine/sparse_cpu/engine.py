"""The sparse CPU engine: the same trajectories as dense, at a cost that falls with density.

One thread, float32. Chains of linear layers and ReLUs train many steps in one compiled call;
every other network is a graph of operations, of which torch runs what has no kernel. Sums run in
another order than in torch, so weights agree to rounding, not in bits; the engine's own numbers
depend on the state, the job and the width of the machine's vectors alone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence

import torch

from winnow.engine.base import Job, Session
from winnow.engine.lanes import Lane, Lanes
from winnow.engine.sparse_cpu import compiled
from winnow.engine.sparse_cpu.chain import UnsupportedError, chain_of
from winnow.engine.sparse_cpu.chain_lane import ChainLane
from winnow.engine.sparse_cpu.graph_lane import GraphLane
from winnow.engine.sparse_cpu.trace import trace
from winnow.engine.sparse_cpu.update import RULES
from winnow.errors import UserError
from winnow.state import State, masked

_log = logging.getLogger(__name__)


class SparseEngine:
    """Trains every job by itself, on one core, touching nonzeros only."""

    name = "sparse"

    def __init__(self, dense: Collection[str] = ()) -> None:
        """``dense``: names of weights whose layers shall run as dense torch operations."""
        self.dense = frozenset(dense)
        self.notes: Sequence[str] = ()

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Compile the kernels that jobs need, unless this machine has them.

        Once: some 10 s for chains of linear layers, about a minute for other networks.
        """
        for job in jobs:
            (compiled.chains if self._is_chain(job) else compiled.graphs)()

    def refuses(self, jobs: Sequence[Job]) -> str | None:
        """The reason why a job cannot be trained here, or None."""
        for job in jobs:
            if reason := self._refusal(job):
                return reason
        return None

    def open(self, jobs: Sequence[Job], states: Sequence[State]) -> Session:
        """Start or continue the jobs from their states.

        The first session of a machine compiles the kernels that it needs. What torch runs for want
        of a kernel is logged, and stands in ``notes``. UserError when a job is refused or a
        label has no output.
        """
        if reason := self.refuses(jobs):
            raise UserError(
                f"engine: sparse cannot train this: {reason}. Write engine: auto, which takes "
                "another engine where it must"
            )
        pairs = zip(jobs, states, strict=True)
        return Lanes([self._lane(job, masked(state)) for job, state in pairs])

    def _lane(self, job: Job, state: State) -> Lane:
        self.prepare([job])
        if self._is_chain(job):
            return ChainLane(job, state)
        lane = GraphLane(job, state, self.dense)
        for note in lane.notes:
            if note not in self.notes:
                self.notes = (*self.notes, note)
                _log.warning("engine sparse: %s", note)
        return lane

    def _is_chain(self, job: Job) -> bool:
        return not self.dense and _why_no_chain(job) is None

    def _refusal(self, job: Job) -> str | None:
        if job.optimizer["name"] not in RULES:
            return f"it has no kernel for the optimizer {job.optimizer['name']}"
        if job.data.augment not in ("none", "flip-crop"):
            return f"it has no kernel for the augmentation {job.data.augment}"
        if self._is_chain(job):
            return None
        try:
            trace(job.build(), tuple(job.data.splits["train"].images.shape[1:]), self.dense)
        except UnsupportedError as error:
            return f"the network does not suit it: {error}"
        return None


def _why_no_chain(job: Job) -> str | None:
    """Why the network is not trained as a chain of linear layers; None where it is."""
    if job.data.augment != "none":
        return "images are augmented"
    try:
        with torch.random.fork_rng(devices=[]):
            layers = chain_of(job.build())
    except UnsupportedError as error:
        return str(error)
    features = math.prod(job.data.splits["train"].images.shape[1:])
    sizes = [features, *(layer.outputs for layer in layers)]
    if any(size != layer.inputs for size, layer in zip(sizes, layers, strict=False)):
        return f"layer sizes do not fit images of {features} features"
    return None
