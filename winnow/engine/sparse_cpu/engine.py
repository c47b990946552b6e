"""The sparse CPU engine: the same trajectories as dense, at a cost that falls with density.

Float32. Chains of linear layers and ReLUs train many steps in one compiled call; every other
network is a graph of operations, of which torch runs what has no kernel. Sums run in another order
than in torch, so weights agree to rounding, not in bits; the engine's own numbers depend on the
state, the job and the width of the machine's vectors alone, on no number of threads.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from winnow.data.image_files import ImageFiles
from winnow.engine.base import Job, Session
from winnow.engine.once import once
from winnow.engine.reopened import not_here
from winnow.engine.sparse_cpu.chain.layers import chain_of_job, layers_fit
from winnow.engine.sparse_cpu.chain.session import ChainSession
from winnow.engine.sparse_cpu.graph.session import GraphSession
from winnow.engine.sparse_cpu.graph.storage import Storage
from winnow.engine.sparse_cpu.graph.trace import trace
from winnow.engine.sparse_cpu.kernels.groups import (
    chains_are_compiled,
    graphs_are_compiled,
    prepare_chain_kernels,
    prepare_graph_kernels,
)
from winnow.engine.sparse_cpu.kernels.update import RULES
from winnow.engine.sparse_cpu.team import Team
from winnow.engine.sparse_cpu.unsupported import UnsupportedError
from winnow.errors import UserError
from winnow.state import State, masked

_log = logging.getLogger(__name__)
_CHAIN_IN_CACHES = (
    "it is a chain of linear layers, whose activations stay in the caches: bf16 would only cost "
    "digits; engine: sparse is as fast"
)


class SparseEngine:
    """Trains on CPUs, touching nonzeros only."""

    name = "sparse"

    def __init__(
        self, dense: Collection[str] = (), threads: int = 1, storage: Storage = Storage.FLOAT32
    ) -> None:
        """``dense``: names of weights whose layers shall run as dense torch operations.
        ``threads``: on how many the kernels of a session run; torch stays on those that it has.
        ``storage``: of activations; bf16 is ``engine: sparse-bf16``, which trains graphs alone.
        """
        self.dense = frozenset(dense)
        self.threads, self.storage = threads, storage
        if self._bf16:
            self.name = "sparse-bf16"
        self.notes: Sequence[str] = ()

    def prepare(self, job: Job) -> None:
        """Compile the kernels that the job needs, unless this machine has them.

        Once: some 10 s for chains of linear layers, about a minute for other networks.
        """
        self._compile(self._way(job))

    def is_compiled(self, job: Job) -> bool:
        """Whether this machine has the kernels that a job needs: `prepare` would compile none."""
        kind = self._way(job).kind
        if kind == "graph":
            return graphs_are_compiled(self._bf16)
        return kind == "chain" and chains_are_compiled()

    def refuses(self, job: Job) -> str | None:
        """The reason why the job cannot be trained here, or None."""
        way = self._way(job)
        return way.why if way.kind == "none" else None

    def open(self, job: Job, state: State) -> Session:
        """Start or continue the job from a state.

        The first session of a machine compiles the kernels that it needs. What torch runs for want
        of a kernel is logged, and kept in ``notes``. UserError when the job is refused or a
        label has no output.
        """
        way = self._way(job)
        if way.kind == "none":
            raise UserError(
                f"engine: {self.name} cannot train this: {way.why}. Write engine: auto, which "
                "takes another engine where it must"
            )
        self._compile(way)
        if way.kind == "chain":
            return ChainSession(job, masked(state))  # threads would meet too often in its steps
        team = Team(self.threads)
        session = GraphSession(job, masked(state), self.dense, team, self.storage)
        for note in session.notes:
            if note not in self.notes:
                self.notes = (*self.notes, note)
                _log.warning("engine %s: %s", self.name, note)
        return session

    @property
    def _bf16(self) -> bool:
        return self.storage is Storage.BF16

    def _compile(self, way: _Way) -> None:
        if way.kind == "chain":
            prepare_chain_kernels()
        elif way.kind == "graph":
            prepare_graph_kernels(self._bf16)

    def _way(self, job: Job) -> _Way:
        if reason := not_here(job):
            return _Way("none", reason)
        if job.optimizer["name"] not in RULES:
            return _Way("none", f"it has no kernel for the optimizer {job.optimizer['name']}")
        if isinstance(job.data.splits["train"].images, ImageFiles):
            return _Way("none", "its images stay in files, and it takes those in memory alone")
        pixels = job.data.splits["train"].in_memory.dtype
        if pixels != torch.uint8:
            return _Way("none", f"its images are {pixels}, and its kernels read uint8")
        if job.data.augment not in ("none", "flip-crop"):
            return _Way("none", f"it has no kernel for the augmentation {job.data.augment}")
        image = tuple(job.data.splits["train"].images.shape[1:])
        if not self.dense and job.data.augment == "none" and _is_chain(job, math.prod(image)):
            return _Way("none", _CHAIN_IN_CACHES) if self._bf16 else _Way("chain")
        if job.data.unit_norm:
            return _Way("none", "images of unit norm need a chain of linear layers")
        if reason := _why_no_graph(job.build, image, self.dense):
            return _Way("none", f"the network does not suit it: {reason}")
        return _Way("graph")


@dataclass(frozen=True)
class _Way:
    """How a job is trained: as a chain, as a graph, or not at all, and why."""

    kind: Literal["chain", "graph", "none"]
    why: str = ""


def _is_chain(job: Job, features: int) -> bool:
    """Whether a network is a chain of linear layers, for images of so many features."""
    try:
        _, layers = chain_of_job(job)
    except UnsupportedError:
        return False
    return layers_fit(layers, features)


@once
def _why_no_graph(
    build: Callable[[], nn.Module], image: tuple[int, ...], dense: frozenset[str]
) -> str | None:
    """The reason why a network is no graph of operations for such images, or None."""
    try:
        trace(build(), image, dense)
    except UnsupportedError as error:
        return str(error)
    return None
