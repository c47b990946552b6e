"""The compiled engine: one job, its whole step as compiled code; on a GPU also as one CUDA graph.

Networks with convolutions keep their images and weights channels-last. With ``bf16`` the forward
and backward pass runs under autocast; weights, slots, loss and evaluation stay float32. The last,
smaller batch of an epoch runs the same step uncompiled. Where there is no compiler (a C++ compiler
for the CPU, Triton for a GPU) or it fails, the dense engine trains instead, and ``notes`` says so.
A forward pass is traced once: what it decides by Python attributes of its own stays decided.
"""

from __future__ import annotations

import copy
import functools
import logging
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from winnow.engine.base import Job, Metrics, Session, StepStats
from winnow.engine.dense import DenseEngine
from winnow.engine.dropout import Dropouts
from winnow.engine.evaluation import evaluate
from winnow.engine.feed import Feed
from winnow.engine.lanes import Lanes
from winnow.engine.learning_rate import learning_rate
from winnow.engine.reopened import FixedSession, Reopened, not_here
from winnow.engine.tracing import CompilerError, compiled
from winnow.engine.whole_step import Run, Tensors, make_step, scalars, slots_of
from winnow.errors import UserError
from winnow.state import State, load_weights, masked

_log = logging.getLogger(__name__)


class CompiledEngine:
    """Compiles the step of each job when it is opened: seconds to a minute, less from cache."""

    def __init__(
        self,
        device: str | torch.device | None = None,
        bf16: bool = False,
        backend: str | None = "inductor",
    ) -> None:
        """``device``: where to train; None takes a GPU where there is one.

        ``backend``: torch.compile's; None runs the step as it is written, without a compiler.
        """
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.bf16, self.name = bf16, "compiled-bf16" if bf16 else "compiled"
        self.backend = backend
        self.notes: Sequence[str] = ()

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Nothing: what is compiled depends on the job. torch caches it on disk."""

    def refuses(self, jobs: Sequence[Job]) -> str | None:
        """The reason why a job is not trained here. What cannot be compiled trains dense here."""
        return next((why for why in map(not_here, jobs) if why), None)

    def open(self, jobs: Sequence[Job], states: Sequence[State]) -> Session:
        """Start or continue the jobs from their states. UserError when one is refused."""
        if reason := self.refuses(jobs):
            raise UserError(f"engine: {self.name} cannot train this: {reason}. Write engine: dense")

        def opened(jobs: Sequence[Job], states: Sequence[State]) -> _Session:
            return _Session(self, jobs, [masked(state) for state in states])

        return Reopened(opened, jobs, states, self.device)

    def note(self, text: str) -> None:
        """Keep a note, and log it the first time."""
        if text not in self.notes:
            self.notes = (*self.notes, text)
            _log.warning("engine %s: %s", self.name, text)


class _Session:
    """Lanes that are compiled when they are first to train; the dense engine's if that fails."""

    def __init__(
        self, engine: CompiledEngine, jobs: Sequence[Job], states: Sequence[State]
    ) -> None:
        pairs = zip(jobs, states, strict=True)
        lanes = [_Lane(job, state, engine.device, engine.bf16) for job, state in pairs]
        self.engine, self.jobs = engine, jobs
        self.uncompiled = lanes
        self.inner: FixedSession = Lanes(lanes)

    def advance(self, to: int) -> Sequence[StepStats]:
        """Train every lane up to iteration ``to``."""
        try:
            for lane in self.uncompiled:
                lane.compile(self.engine.backend)
        except CompilerError as error:
            self.engine.note(f"trained by the dense engine, as nothing was compiled: {error}")
            self.inner = DenseEngine(self.engine.device).open(self.jobs, self.inner.state())
        self.uncompiled = []
        return self.inner.advance(to)

    def evaluate(self, split: str) -> Sequence[Metrics]:
        """Loss and accuracy of every lane on a split."""
        return self.inner.evaluate(split)

    def state(self) -> Sequence[State]:
        """Copies of where the lanes stand."""
        return self.inner.state()


class _Lane:
    """One network in training."""

    def __init__(self, job: Job, state: State, device: torch.device, bf16: bool) -> None:
        self.job, self.device = job, device
        self.step, self.updates, self.mask = state.step, state.updates, state.mask
        self.feed = Feed(job, device)
        self.model = job.build()
        self.shape = tuple(job.data.splits["train"].images.shape[1:])
        self.dropouts = Dropouts(self.model, self.shape)
        load_weights(self.model, state)
        self.model = self.model.to(device)
        layout = _layout(self.model, self.shape)
        _lay_out(self.model, layout)
        self.tensors = _tensors(self.model, job, state)
        self.batch = min(job.batch, self.feed.count("train"))
        self.whole = make_step(self.model, self.dropouts, job, self.feed.normalised, layout, bf16)
        self.plain: Run = functools.partial(self.whole, self.tensors)
        self.full: Run = self.plain

    def compile(self, backend: str | None) -> None:
        """Compile the step of a full batch, or raise CompilerError."""
        if backend is None:
            return
        self.model.train()
        self.full = compiled(self.whole, self.tensors, self._example(), backend)

    def _example(self) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """A batch as every full one looks."""
        count, shape = self.batch, self.shape
        x = torch.zeros((count, *shape), dtype=torch.uint8, device=self.device)
        y = torch.zeros(count, dtype=torch.int64, device=self.device)
        drops = self.dropouts.draw(0, count, self.device)
        return x, y, drops, torch.zeros(3, device=self.device)

    def advance(self, to: int) -> StepStats:
        self.model.train()
        total, first = 0.0, self.step
        while self.step < to:
            loss, norm = self._one_step()
            if not (math.isfinite(loss) and math.isfinite(norm)):
                return StepStats(self.step, math.nan, diverged_at=self.step + 1)
            total += loss
            self.step += 1
            self.updates += 1
        return StepStats(self.step, total / (self.step - first) if self.step > first else math.nan)

    def _one_step(self) -> list[float]:
        """Loss and gradient norm of a step; its update is made if both are finite."""
        job = self.job
        x, y = self.feed.pixels(self.step)
        drops: list[Tensor] = []
        if self.dropouts.layers:
            drops = self.dropouts.draw(self.feed.dropout_seed(self.step), len(y), self.device)
        rate = learning_rate(self.step, job.steps, job.optimizer["lr"], job.schedule)
        now = torch.tensor(scalars(job.optimizer, rate, self.updates)).to(self.device)
        run = self.full if len(y) == self.batch else self.plain
        with torch.no_grad():
            seen: list[float] = run(x, y, drops, now).tolist()
        return seen

    def evaluate(self, split: str) -> Metrics:
        return evaluate(self.model, self.feed, split)

    def state(self) -> State:
        t = self.tensors
        slots = {slot: _copies(tensors) for slot, tensors in t.slots.items() if self.updates}
        return State(
            self.step, _copies(t.weights), _copies(t.buffers), self.mask, slots, self.updates
        )


def _lay_out(model: nn.Module, layout: torch.memory_format) -> None:
    """Give the weights of convolutions a layout in memory."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)


@torch.no_grad()
def _layout(model: nn.Module, shape: Sequence[int]) -> torch.memory_format:
    """Channels-last, which convolutions run faster in, unless the module cannot.

    A module may depend on how its activations lie, e.g. by ``x.view(len(x), -1)``.
    """
    if not any(parameter.ndim == 4 for parameter in model.parameters()):
        return torch.contiguous_format
    trial = copy.deepcopy(model).eval()
    _lay_out(trial, torch.channels_last)
    x = torch.zeros((2, *shape), device=next(model.parameters()).device)
    try:
        trial(x.contiguous(memory_format=torch.channels_last))
    except RuntimeError:
        return torch.contiguous_format
    return torch.channels_last


def _tensors(model: nn.Module, job: Job, state: State) -> Tensors:
    """The model's own weights and buffers, with slots and masks in the same memory layout."""
    weights = {name: p.detach() for name, p in model.named_parameters()}
    slots = {
        slot: {
            name: torch.zeros_like(w).copy_(state.slots[slot][name])
            if slot in state.slots
            else torch.zeros_like(w)
            for name, w in weights.items()
        }
        for slot in slots_of(job.optimizer["name"])
    }
    keep = {
        name: torch.zeros_like(weights[name]).copy_(mask)
        for name, mask in (state.mask or {}).items()
        if not bool(mask.all())
    }
    return Tensors(weights, dict(model.named_buffers()), slots, keep)


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: t.cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()
    }
