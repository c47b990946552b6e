"""Measure a calibration: both engines, whole steps, at a ladder of densities, in turns.

Of a side's turns the fastest counts: other programs only ever add time. Only the seam is used. A
layer's own cost is the difference that it makes to a whole step when it alone is denser, or alone
runs in torch, so conversions between layouts are part of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from winnow import rng
from winnow.engine.base import Engine, Job, Split
from winnow.engine.calibration import Calibration, Cost, Layer, LayerCost, Rung, calibration_key
from winnow.engine.turns import in_turns, machine, one_thread, steps_of
from winnow.mask import Mask
from winnow.state import State, fresh_state

LADDER = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
_SHORT = (1.0, 0.5, 0.2, 0.05)  # where a step is slow
_SLOW = 0.05  # seconds of a dense step
_PROBE = 0.5  # the density at which a layer's slope is measured: near break-even
_IMAGES = 1000  # evaluated at once, as the dense engine does, where that is quick
_TURN = 0.02  # seconds
_CONSTANT: Mapping[str, Any] = {"name": "constant", "drops": [], "factor": None, "warmup": 0}

Sparse = Callable[[frozenset[str]], Engine]
"""The sparse engine with some layers, named by their weights, run densely in torch."""


def measure(
    job: Job, dense: Engine, sparse: Sparse, seconds: float = 0.2, gpu: str | None = None
) -> Calibration:
    """The calibration of a job's work, at about ``seconds`` a rung where steps are quick.

    Two seconds for LeNet, up to a minute for the largest networks. The job's numbers do not matter,
    its images may be random. ``gpu``: the name of the one that the dense engine trains on, if any.
    Where the sparse engine refuses the job, it says why in ``cannot``.
    """
    about = machine()
    job, key = harmless(job), calibration_key(job, gpu)
    if reason := sparse(frozenset()).refuses(job):
        with one_thread():
            alone = Rung(1.0, costs_of(job, 1.0, {"dense": dense}, seconds)["dense"], None)
        return Calibration(key, about, (alone,), layers_of(job), {}, cannot={"sparse": reason})
    with one_thread():
        layers = layers_of(job)
        rungs = [_rung(job, 1.0, dense, sparse(frozenset()), seconds)]
        ladder = _SHORT if rungs[0].dense.step > _SLOW else LADDER
        rungs += [_rung(job, d, dense, sparse(frozenset()), seconds) for d in ladder[1:]]
        costs = _layer_costs(job, rungs[-1], sparse, seconds / 3) if _may_mix(job) else {}
    return Calibration(key, about, tuple(rungs), layers, costs)


def harmless(job: Job) -> Job:
    """The job at a learning rate so small that it neither diverges nor ends."""
    optimizer: Mapping[str, Any] = {**job.optimizer, "lr": 1e-9}
    return replace(job, optimizer=optimizer, schedule=_CONSTANT, steps=10**9)


def _may_mix(job: Job) -> bool:
    """Whether single layers may pay in torch: in a network of linear ones, its calls cost more."""
    return any(p.ndim == 4 for p in job.build().parameters())


# ---- whole steps


def _rung(job: Job, density: float, dense: Engine, sparse: Engine, seconds: float) -> Rung:
    costs = costs_of(job, density, {"dense": dense, "sparse": sparse}, seconds)
    return Rung(density, costs["dense"], costs["sparse"])


def costs_of(
    job: Job, density: float, engines: Mapping[str, Engine], seconds: float
) -> dict[str, Cost]:
    """What engines cost at a density, in turns."""
    state = random_state(job, {}, density)
    steps = in_turns({n: steps_of(e, job, state) for n, e in engines.items()}, seconds, _TURN)
    slowest = max(map(min, steps.values()))
    count = _IMAGES if slowest < _SLOW / 2 else job.batch
    shown = with_images(job, count)
    images = in_turns(
        {n: evaluations(e, shown, state) for n, e in engines.items()}, seconds / 3, _TURN, least=2
    )
    return {n: Cost(min(steps[n]), min(images[n]) / count) for n in engines}


def with_images(job: Job, count: int) -> Job:
    """The job with ``count`` images to evaluate."""
    train = job.data.splits["train"]
    index = train.index.repeat(-(-count // len(train.index)))[:count]
    splits = {"train": train, "test": Split(train.images, train.labels, index)}
    return replace(job, data=replace(job.data, splits=splits))


def evaluations(engine: Engine, job: Job, state: State) -> Callable[[int], None]:
    """Evaluates the images of the test split so many times."""
    session = engine.open(job, state)

    def evaluate(count: int) -> None:
        for _ in range(count):
            session.evaluate("test")

    return evaluate


# ---- single layers


def _layer_costs(job: Job, low: Rung, sparse: Sparse, seconds: float) -> dict[str, LayerCost]:
    """What each layer costs, held against the whole network at the lowest rung, in turns."""
    names = [name for name, p in job.build().named_parameters() if p.ndim >= 2]
    start = random_state(job, {}, low.density)
    whole = steps_of(sparse(frozenset()), job, start)
    assert low.sparse is not None, "only what the sparse engine trains has layers in it"
    units = low.sparse.step / low.dense.step
    costs = {}
    for name in names:
        mixed = sparse(frozenset({name}))
        if mixed.refuses(job):
            continue
        denser = random_state(job, {name: _PROBE}, low.density)
        sides = {
            "whole": whole,
            "denser": steps_of(sparse(frozenset()), job, denser),
            "torch": steps_of(mixed, job, start),
        }
        least = {side: min(times) for side, times in in_turns(sides, seconds, _TURN).items()}
        more = {side: units * (time / least["whole"] - 1) for side, time in least.items()}
        slope = more["denser"] / (_PROBE - low.density)
        costs[name] = LayerCost(max(slope, 0.0), more["torch"])
    return costs


# ---- what is measured


def random_state(job: Job, own: Mapping[str, float], density: float) -> State:
    """A fresh state under a random mask of this density, of their own for some layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.torch_seed(0, "calibration"))
        model = job.build()
    if density == 1.0:
        return fresh_state(model)
    generator = rng.torch_generator(0, "calibration", "mask")
    return fresh_state(
        model,
        Mask(
            {
                name: torch.rand(p.shape, generator=generator) < own.get(name, density)
                for name, p in model.named_parameters()
                if p.ndim >= 2
            }
        ),
    )


def layers_of(job: Job) -> dict[str, Layer]:
    """Every weight of a job's network: its size and how often each of its numbers multiplies.

    A linear weight is used once for an image, a kernel's weight once for each pixel of its output.
    """
    model = job.build().eval()
    names = {id(p): name for name, p in model.named_parameters() if p.ndim >= 2}
    uses = dict.fromkeys(names.values(), 1.0)

    def seen(module: nn.Module, _: Any, output: Any) -> None:
        name = names.get(id(getattr(module, "weight", None)))
        if name is not None and isinstance(output, Tensor):
            uses[name] = math.prod(output.shape[1:]) / len(module.get_parameter("weight"))

    hooks = [module.register_forward_hook(seen) for module in model.modules()]
    image = torch.zeros(1, *job.data.splits["train"].images.shape[1:])
    with torch.inference_mode():
        model(image)
    for hook in hooks:
        hook.remove()
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    return {name: Layer(sizes[name], used) for name, used in uses.items()}
