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

from winnow.engine.advancing import advance_by, one_step
from winnow.engine.base import Job, Metrics, Session, StepStats, Training
from winnow.engine.dense import DenseEngine
from winnow.engine.dropout import Dropouts
from winnow.engine.evaluation import evaluate
from winnow.engine.feed import Feed
from winnow.engine.learning_rate import rate_at
from winnow.engine.reopened import Reopened, not_here
from winnow.engine.tracing import CompilerError, compile_step
from winnow.engine.whole_step import BoundStep, StepTensors, make_step, scalars, slot_names
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

    def prepare(self, job: Job) -> None:
        """Nothing: what is compiled depends on the job. torch caches it on disk."""

    def refuses(self, job: Job) -> str | None:
        """The reason why the job is not trained here. What cannot be compiled trains dense here."""
        return not_here(job)

    def open(self, job: Job, state: State) -> Session:
        """Start or continue the job from a state. UserError when it is refused."""
        if reason := self.refuses(job):
            raise UserError(f"engine: {self.name} cannot train this: {reason}. Write engine: dense")

        def begin(state: State) -> _Compiling:
            return _Compiling(self, job, masked(state))

        return Reopened(begin, begin(state), job, self.device)

    def note(self, text: str) -> None:
        """Keep a note, and log it the first time."""
        if text not in self.notes:
            self.notes = (*self.notes, text)
            _log.warning("engine %s: %s", self.name, text)


class _Compiling:
    """What is compiled when it is first to train; the dense engine's session if that fails."""

    def __init__(self, engine: CompiledEngine, job: Job, state: State) -> None:
        self.engine, self.job = engine, job
        self.uncompiled: _Step | None = _Step(job, state, engine.device, engine.bf16)
        self.training: Training = self.uncompiled

    def advance(self, to: int) -> StepStats:
        """Train up to iteration ``to``."""
        if self.uncompiled is not None:
            self._compile(self.uncompiled)
            self.uncompiled = None
        return self.training.advance(to)

    def _compile(self, step: _Step) -> None:
        try:
            step.compile(self.engine.backend)
        except CompilerError as error:
            self.engine.note(f"trained by the dense engine, as nothing was compiled: {error}")
            self.training = DenseEngine(self.engine.device).open(self.job, step.state())

    def evaluate(self, split: str) -> Metrics:
        """Loss and accuracy on a split."""
        return self.training.evaluate(split)

    def state(self) -> State:
        """A copy of where it stands."""
        return self.training.state()


class _Step:
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
        self.plain: BoundStep = functools.partial(self.whole, self.tensors)
        self.full: BoundStep = self.plain

    def compile(self, backend: str | None) -> None:
        """Compile the step of a full batch, or raise CompilerError."""
        if backend is None:
            return
        self.model.train()
        self.full = compile_step(self.whole, self.tensors, self._example(), backend)

    def _example(self) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """A batch as every full one looks."""
        count, shape = self.batch, self.shape
        images = self.feed.splits["train"].images
        dtype = images.dtype if isinstance(images, Tensor) else torch.uint8
        x = torch.zeros((count, *shape), dtype=dtype, device=self.device)
        y = torch.zeros(count, dtype=torch.int64, device=self.device)
        drops = self.dropouts.draw(0, count, self.device)
        return x, y, drops, torch.zeros(3, device=self.device)

    def advance(self, to: int) -> StepStats:
        self.model.train()
        return advance_by(self, one_step(self, self._train), to)

    def _train(self) -> float:
        """One update. Returns the loss; NaN, and no update, if it or the gradient is not finite."""
        x, y = self.feed.pixels(self.step)
        drops: list[Tensor] = []
        if self.dropouts.layers:
            drops = self.dropouts.draw(self.feed.dropout_seed(self.step), len(y), self.device)
        rate = rate_at(self.job, self.step)
        now = torch.tensor(scalars(self.job.optimizer, rate, self.updates)).to(self.device)
        step = self.full if len(y) == self.batch else self.plain
        with torch.no_grad():
            loss, norm = step(x, y, drops, now).tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return math.nan
        self.updates += 1
        return float(loss)

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


def _tensors(model: nn.Module, job: Job, state: State) -> StepTensors:
    """The model's own weights and buffers, with slots and masks in the same memory layout."""
    weights = {name: p.detach() for name, p in model.named_parameters()}
    slots = {
        slot: {
            name: torch.zeros_like(w).copy_(state.slots[slot][name])
            if slot in state.slots
            else torch.zeros_like(w)
            for name, w in weights.items()
        }
        for slot in slot_names(job.optimizer)
    }
    keep = {
        name: torch.zeros_like(weights[name]).copy_(mask)
        for name, mask in (state.mask or {}).items()
        if not bool(mask.all())
    }
    return StepTensors(weights, dict(model.named_buffers()), slots, keep)


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: t.cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()
    }
