"""What ``auto`` knows beside dense and sparse: engines that a plan may gain by, measured then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow.experiment.train.needs import (
    images_evaluated,
    iterations_under_one_mask,
    planned_kept,
    why_densely,
)

if TYPE_CHECKING:
    from winnow.engine.base import Engine, Job
    from winnow.engine.calibration import Calibration
    from winnow.experiment.plan.plan import Plan

_NO_COMPILER = {
    "cpu": "torch.compile finds no C++ compiler here",
    "cuda": "torch.compile finds no Triton here",
}


def gpu_here() -> str | None:
    """The name of the GPU that other engines than the sparse one train on, if there is one."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def no_compiler() -> str | None:
    """Why the compiled engine trains nothing here, or None: as far as can be told at once."""
    from winnow.engine.compiled import compiler_here

    gpu = gpu_here() is not None
    return None if compiler_here(gpu) else _NO_COMPILER["cuda" if gpu else "cpu"]


def lacking(plan: Plan, job: Job, costs: Calibration) -> list[str]:
    """The engines that a plan's runs may gain by, and that a calibration does not know of."""
    names = []
    if has_long_runs(plan, costs) and no_compiler() is None:
        names.append("compiled")
    if gpu_here() is not None and _widest(plan) > 1 and _small(job):
        names.append("stacked")
    return [name for name in names if name not in (*costs.others, *costs.cannot)]


def has_long_runs(plan: Plan, costs: Calibration) -> bool:
    """Whether some run of a plan is so long that a compiler may pay."""
    from winnow.engine.auto import is_long

    return any(
        is_long(costs, planned_kept(run, costs), images_evaluated(run), count)
        for run in plan.runs.values()
        if (count := iterations_under_one_mask(run)) and not why_densely(run)
    )


def _small(job: Job) -> bool:
    from winnow.engine.stacked import StackedEngine, worth_stacking

    return worth_stacking(job) and StackedEngine("cpu").refuses(job) is None


def _widest(plan: Plan) -> int:
    return max(group.width for group in plan.groups)


def tried(name: str, plan: Plan, job: Job, costs: Calibration, dense: Engine) -> Calibration:
    """A calibration that knows of one engine more."""
    from winnow.engine.compiled import CompiledEngine
    from winnow.engine.rivals import with_compiled, with_stacked
    from winnow.engine.stacked import StackedEngine

    on = "cuda" if gpu_here() else "cpu"
    if name == "compiled":
        return with_compiled(job, costs, dense, CompiledEngine(on))
    return with_stacked(job, costs, dense, StackedEngine(on), _widest(plan))
