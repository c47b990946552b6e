"""What workers need before their first task, made or loaded once: code, compiled kernels."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from winnow.experiment.runs import Run, load_run, plain_fields


@dataclass(frozen=True)
class Needed:
    """An engine, and a run of those that it will train."""

    engine: str
    run: Run

    def dump(self) -> dict[str, Any]:
        """Plain values."""
        return {"engine": self.engine, "run": plain_fields(self.run)}

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Needed:
        """What `dump` gave."""
        return Needed(plain["engine"], load_run(plain["run"]))

    @property
    def network(self) -> tuple[Any, ...]:
        """What it is that matters: runs that are alike in it need the same."""
        return self.engine, self.run.model, self.run.data, repr(self.run.optimizer)


def make_ready(needed: Sequence[Needed]) -> None:
    """Import what trains, then let each engine prepare: kernels are compiled, or loaded.

    No fault is one here: whoever trains the run meets it again, and says it where it is heard.
    """
    with no_collection():
        import torch

        import winnow.experiment.train.tasks  # noqa: F401 - what it imports is the point
        from winnow.engine import make_engine
        from winnow.experiment.train.sampling import sample_of

        once = {one.network: one for one in needed}
        for one in once.values():
            # Networks are built, whose weights nobody needs.
            with contextlib.suppress(Exception), torch.random.fork_rng(devices=[]):
                make_engine(one.engine).prepare(sample_of(one.run))


@contextmanager
def no_collection() -> Iterator[None]:
    """Imports make objects that stay: looking for garbage among them takes a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
