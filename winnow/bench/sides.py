"""The rivals of a bench: Winnow's engines, and torch as lean as a user can write it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from winnow.engine.base import Engine, Job
from winnow.engine.dense import DenseEngine
from winnow.engine.optimizer import make_optimizer
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.turns import Repeat, steps_of
from winnow.state import State, load_weights

NAMES = ("sparse", "dense", "eager", "compile")
"""Winnow's sparse and dense engines; an eager torch loop; the same loop under torch.compile."""


class Side(Protocol):
    """A rival."""

    def refuses(self) -> str | None:
        """Why it cannot train the job here, or None."""
        ...

    def begin(self, state: State) -> Repeat:
        """Start anew from a state; what trains so many further steps."""
        ...


def make(name: str, job: Job) -> Side:
    """The side of a name in `NAMES`."""
    sides: Mapping[str, Callable[[], Side]] = {
        "sparse": lambda: OfEngine(SparseEngine(), job),
        "dense": lambda: OfEngine(DenseEngine("cpu"), job),
        "eager": lambda: Eager(job),
        "compile": lambda: Compiled(job),
    }
    return sides[name]()


class OfEngine:
    """An engine of Winnow, data and checks for divergence included."""

    def __init__(self, engine: Engine, job: Job) -> None:
        self.engine, self.job = engine, job

    def refuses(self) -> str | None:
        return self.engine.refuses(self.job)

    def begin(self, state: State) -> Repeat:
        return steps_of(self.engine, self.job, state)


class Eager:
    """A loop in torch without anything that could be left out.

    Images are normalised beforehand and gathered by index; weights start masked and their gradients
    are multiplied by float masks, so zeros stay; the optimizer is fused. No copy and no check.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.model = job.build()
        split, data = job.data.splits["train"], job.data
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (data.mean, data.std))
        self.images = split.in_memory.float().sub_(mean).div_(std)
        self.labels = split.labels
        self.loss: Callable[[Tensor, Tensor], Tensor] = self._loss

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(self.model(x), y)

    def refuses(self) -> str | None:
        return None

    def begin(self, state: State) -> Repeat:
        load_weights(self.model, state)
        self.model.train()
        parameters = dict(self.model.named_parameters())
        optimizer = make_optimizer(parameters, self.job.optimizer)
        kept = [(parameters[name], keep.float()) for name, keep in (state.mask or {}).items()]
        generator = torch.Generator().manual_seed(0)

        def advance(count: int) -> None:
            shape = (count, self.job.batch)
            for chosen in torch.randint(len(self.labels), shape, generator=generator):
                x, y = self.images.index_select(0, chosen), self.labels.index_select(0, chosen)
                self.loss(x, y).backward()  # type: ignore[no-untyped-call]
                for parameter, keep in kept:
                    assert parameter.grad is not None
                    parameter.grad.mul_(keep)
                optimizer.step()
                optimizer.zero_grad()

        return advance


class Compiled(Eager):
    """The eager loop with network and loss under torch.compile, forward and backward."""

    def refuses(self) -> str | None:
        if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++", "cl"))):
            return "torch.compile needs a C++ compiler, and none is found ($CXX, g++, clang++)"
        size = self.job.batch
        try:
            self.loss = torch.compile(self._loss)
            self.loss(self.images[:size], self.labels[:size]).backward()  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever its compiler stumbles over
            return f"torch.compile fails here: {str(error).splitlines()[0]}"
        self.model.zero_grad()
        return None
