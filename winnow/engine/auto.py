"""Which engine trains a run when the recipe says ``auto``: a pure function of a calibration.

The time of a step is predicted from the calibration and from how many weights each layer keeps,
never from where they lie: a ticket, its reinitialised twin and its shuffled mask are trained by
the same engine. What takes time to begin (a compiler) is weighed against the length of training.
An engine that rounds more coarsely than float32 (those named ``…-bf16``) is never taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from winnow import engine as engines
from winnow.engine.base import Engine, Job
from winnow.engine.calibration import Calibration

MARGIN = 1.05
"""By what factor the sparse engine must be predicted faster than the dense one to be taken, and a
layer faster in torch than in sparse kernels. Covers what a calibration cannot know."""

LONG = 300.0
"""Seconds of training by the best other engine from which on a compiler is tried: trying costs up
to a minute, once for a machine and network, and some ten seconds for each process that trains."""

MANY = 1000
"""Iterations below which no compiler is tried, however long each takes."""

_WORTH = 0.01  # of a dense step: what a layer must save to leave the sparse kernels


@dataclass(frozen=True)
class Choice:
    """What trains a run, and why.

    ``engine``: its name. ``torch``: weights of the layers that run densely in torch inside the
    sparse engine. ``lanes``: the width of the sparse engine's vectors, on which its last bits
    depend. ``calibration``: the hash of the one it follows from. ``note``: what a user should know.
    ``width`` and ``place``: of the stack that a run trains in, and where in it, on which its last
    bits depend.
    """

    engine: str
    torch: tuple[str, ...] = ()
    lanes: int | None = None
    calibration: str | None = None
    note: str = ""
    width: int | None = None
    place: int | None = None

    def dump(self) -> dict[str, Any]:
        """Plain values; without width and place where there is no stack."""
        plain = {**asdict(self), "torch": list(self.torch)}
        return {k: v for k, v in plain.items() if k not in ("width", "place") or v is not None}

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Choice:
        """The choice that `dump` gave."""
        return Choice(**{**plain, "torch": tuple(plain["torch"])})


@dataclass(frozen=True)
class Auto:
    """What ``auto`` goes by: a calibration, or else the reason why everything is trained dense.

    ``reason``: beside a calibration, why an engine is not among those that it knows. ``stacks``:
    runs that can share a stack do (on a GPU, see `stacks_pay`).
    """

    calibration: Calibration | None = None
    reason: str = ""
    stacks: bool = False

    def stack(self, width: int, place: int) -> Choice | None:
        """What trains a run that has a place in a stack, or None where it is not stacked."""
        if not self.stacks or width == 1:
            return None
        known = None if self.calibration is None else self.calibration.hash
        return Choice("stacked", calibration=known, note=self.reason, width=width, place=place)

    def choose(self, kept: Mapping[str, float], images: float = 0.0, iterations: int = 0) -> Choice:
        """What trains a network that keeps so many weights of each layer named, else all.

        ``images``: how many are evaluated for each training step. ``iterations``: how long it
        trains under one mask; 0, where the mask changes, leaves out what is compiled for one.
        """
        if self.calibration is None:
            return Choice("dense", note=self.reason or "there is no calibration")
        known = self.calibration
        torch, share = _predict(known, kept, images)
        if _compiled_pays(known, kept, images, iterations):
            return Choice("compiled", calibration=known.hash)
        if share * MARGIN > 1:
            return Choice("dense", calibration=known.hash, note=known.cannot.get("sparse", ""))
        return Choice("sparse", torch, known.lanes, known.hash)

    def dump(self) -> dict[str, Any]:
        """Plain values."""
        plain = None if self.calibration is None else self.calibration.dump()
        return {"calibration": plain, "reason": self.reason, "stacks": self.stacks}

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Auto:
        """What `dump` gave."""
        known = plain["calibration"]
        calibration = None if known is None else Calibration.load(known)
        return Auto(calibration, plain["reason"], plain["stacks"])


def explicit(name: str, width: int = 1, place: int = 0) -> Choice:
    """The choice that a recipe makes by naming an engine.

    ``width`` and ``place``: of the run's stack, where the engine stacks.
    """
    if name == "stacked":
        return Choice(name, width=width, place=place)
    if name not in engines.SPARSE_CPU:
        return Choice(name)
    from winnow.kernels.simd import W

    return Choice(name, lanes=W)


def seconds(
    calibration: Calibration, engine: str, kept: Mapping[str, float], images: float = 0.0
) -> float:
    """Predicted seconds for a training step and its share of evaluation by an engine.

    Those of the dense engine where the calibration does not know the engine named.
    """
    if other := calibration.others.get(engine):
        return other.cost.step + images * other.cost.image
    dense = float(np.median([r.dense.step + images * r.dense.image for r in calibration.rungs]))
    return dense * (_predict(calibration, kept, images)[1] if engine == "sparse" else 1.0)


def is_long(
    calibration: Calibration, kept: Mapping[str, float], images: float, iterations: int
) -> bool:
    """Whether training takes so long that a compiler may pay, by the better of dense and sparse."""
    return iterations >= MANY and iterations * _uncompiled(calibration, kept, images) >= LONG


def _uncompiled(calibration: Calibration, kept: Mapping[str, float], images: float) -> float:
    """Seconds of a step, evaluation included, by the better of dense and sparse."""
    return min(seconds(calibration, name, kept, images) for name in ("dense", "sparse"))


def _compiled_pays(
    calibration: Calibration, kept: Mapping[str, float], images: float, iterations: int
) -> bool:
    """Whether the compiled engine is predicted to train faster, its compiler included."""
    compiled = calibration.others.get("compiled")
    if compiled is None or not is_long(calibration, kept, images, iterations):
        return False
    step = seconds(calibration, "compiled", kept, images)
    whole = compiled.opening + iterations * step
    return whole * MARGIN < iterations * _uncompiled(calibration, kept, images)


def stacks_pay(calibration: Calibration, stacked: float, alone: float) -> bool:
    """Whether runs train together, which is decided for a whole plan.

    ``stacked``: its iterations in stacks, one for all runs of a stack, each of which is taken to
    last as long as in the stack that was measured; ``alone``: the predicted seconds of its steps
    with each run by itself, in the engine chosen for it.
    """
    one = calibration.others.get("stacked")
    return one is not None and stacked * one.cost.step * one.width * MARGIN < alone


def density_of_work(calibration: Calibration, kept: Mapping[str, float]) -> float:
    """The multiplications of the weights kept, as a share of all: what a step's cost follows."""
    layers = calibration.layers
    left = sum(kept.get(name, layer.weights) * layer.uses for name, layer in layers.items())
    return left / sum(layer.weights * layer.uses for layer in layers.values())


def _predict(
    calibration: Calibration, kept: Mapping[str, float], images: float
) -> tuple[tuple[str, ...], float]:
    """The layers to run in torch, and the sparse engine's time as a share of the dense one's.

    Without end where that engine cannot train the work.
    """
    if any(rung.sparse is None for rung in calibration.rungs):
        return (), math.inf
    chosen = tuple(sorted(n for n in calibration.costs if _saving(calibration, n, kept) > _WORTH))
    plans = [(layers, _share(calibration, kept, images, layers)) for layers in ((), chosen)]
    return min(plans, key=lambda plan: plan[1])  # of equal ones the first: no layer in torch


def _share(
    calibration: Calibration, kept: Mapping[str, float], images: float, torch: tuple[str, ...]
) -> float:
    """The sparse engine's time with some layers in torch: those are at the lowest rung for it."""
    lowest, layers = _lowest(calibration), calibration.layers
    left = {**kept, **{name: lowest * layers[name].weights for name in torch}}
    dense = calibration.rungs[0].dense
    of_step = dense.step / (dense.step + images * dense.image)
    in_torch = of_step * sum(max(calibration.costs[name].torch, 0.0) for name in torch)
    return _whole(calibration, density_of_work(calibration, left), images) + in_torch


def _whole(calibration: Calibration, density: float, images: float) -> float:
    """The sparse engine's time by the dense one's, with all layers in sparse kernels.

    Between two rungs the line through them, as the time is a + b·density; below the lowest, the
    lowest. A rung counts no less than a sparser one, so that noise never makes ``auto`` leave the
    sparse engine as tickets get sparser.
    """
    rungs = sorted(calibration.rungs, key=lambda r: r.density)
    shares = [
        (r.sparse.step + images * r.sparse.image) / (r.dense.step + images * r.dense.image)
        for r in rungs
        if r.sparse is not None
    ]
    return float(np.interp(density, [r.density for r in rungs], np.maximum.accumulate(shares)))


def _saving(calibration: Calibration, name: str, kept: Mapping[str, float]) -> float:
    """What a step saves with one layer in torch, in dense steps; negative if it would lose."""
    cost, layer = calibration.costs[name], calibration.layers[name]
    density = kept.get(name, layer.weights) / layer.weights
    return cost.slope * (density - _lowest(calibration)) - MARGIN * max(cost.torch, 0.0)


def _lowest(calibration: Calibration) -> float:
    return min(rung.density for rung in calibration.rungs)


def engine_of(choice: Choice, threads: int = 1) -> Engine:
    """The engine of a choice. ``threads``: what one that can use several has; no bit changes."""
    if choice.engine in engines.SPARSE_CPU:
        from winnow.engine.sparse_cpu.engine import SparseEngine
        from winnow.engine.sparse_cpu.graph.storage import Storage

        storage = Storage.BF16 if choice.engine == "sparse-bf16" else Storage.FLOAT32
        return SparseEngine(frozenset(choice.torch), threads, storage)
    return engines.make_engine(choice.engine)


def honoured(choice: Choice, job: Job) -> Choice:
    """The choice as this machine can keep it: what a run was begun with, maybe elsewhere.

    The engine stays, unless it cannot train the job here: then dense goes on. Vectors of another
    width stay this machine's: the numbers go on from the same state and differ by rounding. Both
    are said in the note.
    """
    if choice.engine != "sparse":
        return choice
    from winnow.kernels.simd import W

    if reason := engine_of(choice).refuses(job):
        note = f"begun with the sparse engine, continued with dense: {reason}"
        return Choice("dense", calibration=choice.calibration, note=note)
    if choice.lanes not in (None, W):
        note = f"begun with vectors of {choice.lanes} numbers, continued with {W}"
        return Choice("sparse", choice.torch, W, choice.calibration, note)
    return choice
