"""Engines: what trains a job. `base` is the seam; `dense` is the reference.

`sparse_cpu` trains whatever torch.fx can trace at a cost that falls with density. `stacked` trains
several jobs as one batched network, `compiled` a job as a compiled step.
"""

from __future__ import annotations

from winnow.engine.base import Engine
from winnow.errors import unknown

ENGINES = ("auto", "dense", "sparse", "stacked", "compiled", "compiled-bf16")


def make_engine(name: str) -> Engine:
    """The engine called ``name``; `winnow.engine.auto` chooses; here ``auto`` is dense."""
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES, f"Valid here: {', '.join(ENGINES)}")
    if name == "sparse":
        from winnow.engine.sparse_cpu.engine import SparseEngine

        return SparseEngine()
    if name == "stacked":
        from winnow.engine.stacked import StackedEngine

        return StackedEngine()
    if name.startswith("compiled"):
        from winnow.engine.compiled import CompiledEngine

        return CompiledEngine(bf16=name == "compiled-bf16")
    from winnow.engine.dense import DenseEngine

    return DenseEngine()
