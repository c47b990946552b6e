"""Engines: what trains a job. `base` is the seam; `dense` is the reference.

`sparse_cpu` trains whatever torch.fx can trace at a cost that falls with density. `stacked` trains
several jobs as one batched network, `compiled` a job as a compiled step.
"""

from __future__ import annotations

from collections.abc import Callable

from winnow.engine.base import Engine
from winnow.errors import unknown


def _dense() -> Engine:
    from winnow.engine.dense import DenseEngine

    return DenseEngine()


def _sparse(storage: str = "float32") -> Engine:
    from winnow.engine.sparse_cpu.engine import SparseEngine
    from winnow.engine.sparse_cpu.graph.storage import Storage

    return SparseEngine(storage=Storage(storage))


def _stacked() -> Engine:
    from winnow.engine.stacked import StackedEngine

    return StackedEngine()


def _compiled(bf16: bool = False) -> Engine:
    from winnow.engine.compiled import CompiledEngine

    return CompiledEngine(bf16=bf16)


ENGINES: dict[str, Callable[[], Engine]] = {
    "auto": _dense,
    "dense": _dense,
    "sparse": _sparse,
    "sparse-bf16": lambda: _sparse("bf16"),
    "stacked": _stacked,
    "compiled": _compiled,
    "compiled-bf16": lambda: _compiled(bf16=True),
}
"""Every engine by name: what makes it. `winnow.engine.auto` chooses; here ``auto`` is dense.

Recipes know these names (``Recipe.engine``); ``docs/add-an-engine.md`` shows how to add one.
"""


SPARSE_CPU = ("sparse", "sparse-bf16")
"""Those of `sparse_cpu`: they run on the processor, read images from memory, can have threads."""


def make_engine(name: str) -> Engine:
    """The engine called ``name``. UserError with the nearest name if there is none."""
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES, f"Valid here: {', '.join(ENGINES)}")
    return ENGINES[name]()
