"""The compiled engine: one job, its whole step as compiled code; on a GPU also as one CUDA graph.

Networks with convolutions keep their images and weights channels-last. With ``bf16`` the forward
and backward pass runs under autocast; weights, slots, loss and evaluation stay float32. The last,
smaller batch of an epoch runs the same step uncompiled. Where there is no compiler (a C++ compiler
for the CPU, Triton for a GPU) or it fails, the dense engine trains instead, and ``notes`` says so.
A forward pass is traced once: what it decides by Python attributes of its own stays decided.

On a GPU the step is recorded (see `winnow.engine.recorded`), compiled or, without a compiler, as it
is written; its data lies on the device, and the host reads nothing between two looks.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec

import torch
from llvmlite import binding
from torch import Tensor

from winnow.engine.advancing import advance_by, one_step
from winnow.engine.base import Job, Metrics, Session, StepStats, Training
from winnow.engine.dense import DenseEngine
from winnow.engine.dropout import Dropouts
from winnow.engine.evaluation import evaluate
from winnow.engine.feed import Feed
from winnow.engine.laid_out import best_layout, lay_out, state_on_host, step_tensors
from winnow.engine.learning_rate import rate_at
from winnow.engine.recorded.epochs import on_device
from winnow.engine.recorded.opening import Recording
from winnow.engine.recorded.single import unrecordable
from winnow.engine.reopened import Reopened, not_here
from winnow.engine.stack_row import StackRow
from winnow.engine.tracing import CompilerError, compile_step
from winnow.engine.whole_step import BoundStep, make_step, scalars
from winnow.errors import UserError
from winnow.state import State, load_weights, masked

_log = logging.getLogger(__name__)


def compiler_here(gpu: bool) -> str | None:
    """The compiler that torch.compile calls here, None where it finds none. It may yet fail."""
    if gpu:
        return "triton" if find_spec("triton") else None
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    name = os.environ.get("CXX") or usual
    return name if shutil.which(name) else None


def computes_bf16(device: torch.device) -> bool:
    """Whether a device multiplies numbers of bfloat16 faster than those of float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    features = binding.get_host_cpu_features()
    return any(features.get(name) for name in ("avx512bf16", "amx-bf16", "bf16"))


class CompiledEngine:
    """Compiles the step of each job when it is opened: seconds to a minute, less from cache."""

    def __init__(
        self,
        device: str | torch.device | None = None,
        bf16: bool = False,
        backend: str | None = "inductor",
        recorded: bool | None = None,
        deterministic: bool = True,
        tf32: bool = False,
    ) -> None:
        """``device``: where to train; None takes a GPU where there is one.

        ``backend``: torch.compile's; None runs the step as it is written, without a compiler.
        ``recorded``: as a lane; None: on a GPU. ``deterministic``, ``tf32``: see `exact_numbers`.
        """
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.bf16, self.name = bf16, "compiled-bf16" if bf16 else "compiled"
        self.backend = backend
        self.recorded = self.device.type == "cuda" if recorded is None else recorded
        self.notes: Sequence[str] = ()
        self.recording = Recording(self.device, self.note, backend, bf16, deterministic, tf32)

    def prepare(self, job: Job) -> None:
        """Nothing: what is compiled depends on the job. torch caches it on disk."""

    def refuses(self, job: Job) -> str | None:
        """The reason why the job is not trained here. What cannot be compiled trains dense here."""
        return not_here(job)

    def open(self, job: Job, state: State) -> Session:
        """Start or continue the job from a state. UserError when it is refused."""
        if reason := self.refuses(job):
            raise UserError(f"engine: {self.name} cannot train this: {reason}. Write engine: dense")

        if self.bf16 and not computes_bf16(self.device):
            self.note(
                "this processor computes no bfloat16, which makes training slower than with "
                "engine: compiled"
            )

        as_lane = self._in_a_lane(job)

        def begin(state: State) -> Training:
            if as_lane:
                lane = self.recording.lanes({0: job}, {0: masked(state)}, 1)
                return StackRow(lane, 0, begin)
            return _Compiling(self, job, masked(state))

        return Reopened(begin, begin(state), job, self.device)

    def _in_a_lane(self, job: Job) -> bool:
        """Whether the job's steps are recorded; a note says why not, where they should be."""
        if not (self.recorded and on_device(job)):
            return False
        if reason := unrecordable(job):
            self.note(reason)
        return reason is None

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
        with self.engine.recording.exact():
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
        with self.engine.recording.exact():
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
        layout = best_layout(self.model, self.shape)
        lay_out(self.model, layout)
        self.tensors = step_tensors(self.model, job, state)
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
        return state_on_host(self.tensors, self.step, self.updates, self.mask)
