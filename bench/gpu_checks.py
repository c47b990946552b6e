"""What the GPU bench checks: every engine on the device against the dense engine on the CPU."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from gpu_jobs import lenet_job, resnet_job, start

from winnow.engine.base import Engine, Job, Session
from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.stacked import StackedEngine
from winnow.state import State

STEPS = 12


def engines(device: torch.device, compiler: bool) -> dict[str, Engine]:
    """All engines that train on a GPU; ``compiler``: those that need one as well."""
    of: dict[str, Engine] = {
        "dense": DenseEngine(device),
        "recorded": CompiledEngine(device, backend=None, recorded=True),
        "rows": StackedEngine(device, "rows", backend=None),
        "lanes": StackedEngine(device, "lanes", backend=None),
    }
    if compiler:
        of |= {
            "compiled": CompiledEngine(device, recorded=True),
            "compiled rows": StackedEngine(device, "rows"),
        }
    return of


def conformance(device: torch.device, compiler: bool, in_time: Callable[[], bool]) -> Any:
    """By network and engine: how far from the CPU's run, and what holds exactly.

    ``in_time``: whether there is time for one more; what is left out is named.
    """
    jobs = {"lenet-300-100": lenet_job(small=True), "resnet-20": resnet_job(small=True)}
    found: dict[str, Any] = {"left out": []}
    for network, job in jobs.items():
        for name, engine in engines(device, compiler and network == "lenet-300-100").items():
            if in_time():
                found[f"{network}, {name}"] = _one(engine, job)
            else:
                found["left out"].append(f"{network}, {name}")
    return found


def _one(engine: Engine, job: Job) -> Mapping[str, Any]:
    state = start(job, 0.3)
    cpu = DenseEngine("cpu").open(job, state)
    session, again = engine.open(job, state), engine.open(job, state)
    expected, seen = cpu.advance(STEPS), session.advance(STEPS)
    again.advance(STEPS // 2)
    rest = engine.open(job, again.state())
    rest.advance(STEPS)
    mine, theirs = session.evaluate("validation"), cpu.evaluate("validation")
    return {
        "loss off by": abs(seen.loss - expected.loss) / expected.loss,
        "weights off by": _apart(session.state(), cpu.state()),
        "evaluation off by": abs(mine.loss - theirs.loss) / theirs.loss,
        "resumed in the same bits": _same(rest.state(), session.state()),
        "zeros exact": _zeros_are_exact(session.state()),
        "divergence": _diverges_alike(engine, job),
        "notes": list(engine.notes),
    }


def _apart(one: State, other: State) -> float:
    """The largest difference of two weights, by the largest weight of its tensor."""
    return max(
        float((w - other.weights[n]).abs().max() / other.weights[n].abs().max().clamp(min=1e-3))
        for n, w in one.weights.items()
    )


def _same(one: State, other: State) -> bool:
    groups = [(one.weights, other.weights), (one.buffers, other.buffers)]
    groups += [(one.slots[slot], other.slots[slot]) for slot in one.slots]
    return all(torch.equal(a[name], b[name]) for a, b in groups for name in a)


def _zeros_are_exact(state: State) -> bool:
    return not any(bool(state.weights[n][~keep].any()) for n, keep in (state.mask or {}).items())


def _diverges_alike(engine: Engine, job: Job) -> bool:
    """Whether a run that diverges ends at the step of the CPU's, with its number of updates."""
    wild = dataclasses.replace(job, optimizer={**job.optimizer, "lr": 1e30})
    ends = []
    for each in (engine, DenseEngine("cpu")):
        session = each.open(wild, start(wild, 0.3))
        stats, state = session.advance(STEPS), session.state()
        ends.append((stats.step, stats.diverged_at, state.step, state.updates))
        assert math.isnan(stats.loss)
    return ends[0] == ends[1]


def repeatable(engine: Engine, job: Job) -> bool:
    """Whether the same run twice has the same bits."""
    ends = []
    for _ in range(2):
        session = engine.open(job, start(job, 0.3))
        session.advance(STEPS)
        ends.append(session.state())
    return _same(*ends)


def host_waits(session: Session, steps: int) -> float:
    """How often the host waits for the GPU in a step, as torch counts it."""
    at = session.state().step
    session.advance(at + 2)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            session.advance(at + 2 + steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return len(seen) / steps
