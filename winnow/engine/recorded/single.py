"""One network as what a lane trains: its whole step, compiled where there is a compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from winnow.engine.base import Job
from winnow.engine.dropout import Dropouts
from winnow.engine.feed import Feed
from winnow.engine.laid_out import best_layout, lay_out, state_on_host, step_tensors
from winnow.engine.recorded.steps import BoundSteps, Codes
from winnow.engine.whole_step import make_step
from winnow.state import State, fresh_state, load_weights


class Single:
    """A network's tensors on a device, and what its steps and evaluations do with them."""

    rows = 1

    def __init__(
        self,
        job: Job,
        state: State,
        feed: Feed,
        prepare: Callable[[Single], None] | None = None,
        bf16: bool = False,
    ) -> None:
        """``state``: masked. ``prepare``: what is done with this before its first step, such as to
        compile it. ``bf16``: forward and backward pass under autocast.
        """
        self.job, self.feed, self.mask, self._prepare = job, feed, state.mask, prepare
        images = feed.splits["train"].in_memory
        shape = tuple(images.shape[1:])
        self.model = job.build()
        self.dropouts = Dropouts(self.model, shape)
        load_weights(self.model, state)
        layout = best_layout(self.model, shape)
        self.model = self.model.to(feed.device)
        lay_out(self.model, layout)
        self.tensors = step_tensors(self.model, job, state)
        whole = make_step(
            self.model, self.dropouts, job, feed.normalised, layout, bf16, sticky=True
        )
        count = min(job.batch, feed.count("train"))
        x = torch.zeros((count, *shape), dtype=images.dtype, device=feed.device)
        y = torch.zeros(count, dtype=torch.int64, device=feed.device)
        drops = self.dropouts.draw(0, count, feed.device)
        self.example = x, y, drops, torch.zeros(4, device=feed.device)
        self.steps = BoundSteps(whole, self.tensors, self.example)

    def prepare(self) -> None:
        """Make ready what steps need, once; evaluation needs nothing."""
        if self._prepare is not None:
            self._prepare(self)

    def compile(self, backend: str, codes: Codes) -> None:
        """Compile the step of a full batch, unless ``codes`` has it. Raises CompilerError."""
        data = self.job.data
        self.model.train()
        self.steps.compile(backend, codes, (data.mean, data.std, data.unit_norm))

    def step(
        self, x: Tensor, y: Tensor, drops: Sequence[Tensor], now: Tensor, going: Tensor
    ) -> Tensor:
        """One update, of a row that goes on. Returns its loss and norm (2, 1)."""
        self.model.train()
        return self.steps.make(x[0], y[0], drops, torch.cat([now, going]))[:, None]

    def logits(self, pixels: Tensor) -> Tensor:
        """The logits (1, B, classes) of pixels (1, B, C, H, W), in evaluation mode."""
        self.model.eval()
        logits: Tensor = self.model(self.feed.normalised(pixels[0]))
        return logits[None]

    def draw(self, step: int, count: int) -> list[Tensor]:
        """The factors of dropout in a step of so many examples, call by call."""
        if not self.dropouts.layers:
            return []
        return self.dropouts.draw(self.feed.dropout_seed(step), count, self.feed.device)

    def state(self, row: int, step: int, updates: int) -> State:  # noqa: ARG002 - of many rows
        """A copy, on the host, of where the network stands."""
        return state_on_host(self.tensors, step, updates, self.mask)


class _NoChance(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operations that draw random numbers: a replay would draw others than torch does."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise ValueError(f"it draws random numbers outside nn.Dropout ({func})")
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def unrecordable(job: Job) -> str | None:
    """Why a network's step cannot be recorded, or None: a step is tried in shapes alone, where
    there is no number that the host could read.
    """
    meta = torch.device("meta")
    try:
        single = Single(job, fresh_state(job.build()), Feed(job, meta))
        x, y, drops, now = single.example
        with _NoChance():  # type: ignore[no-untyped-call]
            single.step(x[None], y[None], drops, now[:3], now[3:])
            single.logits(x[None])
    except Exception as error:  # whatever a user's own module does without numbers
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"the network's step cannot be recorded: {lines[0]}"
    return None
