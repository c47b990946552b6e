"""Claim: a compiled step takes at most 0.8 of a dense one's time; stacking does not pay on a CPU.
Peer: the dense engine, in the same run and in turns.

    python bench/backends.py [--turns 9] [--smoke]

On one thread, data included, density 0.2, random images, so that nothing has to be downloaded.
`stacked` trains five LeNets as one batched network, against five networks of the dense engine: a
CPU is never idle, and five sets of weights leave its cache. ResNet-20 is measured in batches of 64
of CIFAR's shape, with random flips and crops; the dense engine lays images out channels first, the
compiled one channels last. Processor time, medians of the turns, cold caches. Quote the ratios:
machines are shared, and absolute times drift. Writes bench/results/backends.json.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from lenet import ADAM, BATCH, CONSTANT, MEAN, STD, Advance, random_mask
from lenet import images as pictures
from lenet import network as lenet
from script import add_turns, arguments, keep, parse
from torch import nn
from turns import HOW, here, in_turns

from winnow.engine.base import Engine, Job, Split, Stacks, TrainingData
from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.stacked import StackedEngine
from winnow.engine.turns import machine
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.state import fresh_state

NETWORKS, DENSITY = 5, 0.2
PAIRS = {
    "five": "5 x LeNet-300-100, batch 60, Adam, each",
    "lenet": "LeNet-300-100, batch 60, Adam",
    "resnet": "ResNet-20, batch 64, momentum",
}
MOMENTUM = {"name": "momentum", "lr": 0.03, "weight_decay": 1e-4, "momentum": 0.9}
RESULTS = Path(__file__).parent / "results" / "backends.json"
SMOKE = {"turns": 1, "pairs": ["five"]}


def resnet() -> nn.Module:
    """ResNet-20 for CIFAR, with the same weights each time."""
    model = build("resnet-20", inputs=(3, 32, 32), classes=10)
    initialise(model, "kaiming-normal", 0)
    return model


def lenet_job(seed: int) -> Job:
    """LeNet-300-100 on MNIST's shape; the paper's batch and optimizer."""
    x, y = pictures(6000)
    data = TrainingData({"train": Split(x, y, torch.arange(len(y)))}, (MEAN,), (STD,))
    return Job(lenet, data, 10**9, BATCH, "keep", ADAM, CONSTANT, {"order": seed})


def resnet_job(seed: int) -> Job:
    """ResNet-20 on CIFAR's shape, augmented."""
    draw = np.random.default_rng(0)
    x = torch.from_numpy(draw.integers(0, 256, (1280, 3, 32, 32), dtype=np.uint8))
    y = torch.from_numpy(draw.integers(0, 10, len(x)))
    splits = {"train": Split(x, y, torch.arange(len(y)))}
    data = TrainingData(splits, (120.0,) * 3, (63.0,) * 3, "flip-crop")
    seeds = {"order": seed, "augment": seed}
    return Job(resnet, data, 10**9, 64, "keep", MOMENTUM, CONSTANT, seeds)


def steps(engine: Engine, make: Callable[[int], Job], networks: int = 1) -> Advance:
    """Trains so many iterations of each network; in one stack where the engine stacks."""
    jobs = {seed: make(seed) for seed in range(networks)}
    models = {seed: job.build() for seed, job in jobs.items()}
    states = {n: fresh_state(model, random_mask(model, DENSITY)) for n, model in models.items()}
    if isinstance(engine, Stacks):
        sessions = engine.open_many(jobs, states, networks)
    else:
        sessions = {n: engine.open(job, states[n]) for n, job in jobs.items()}
    reached = 0

    def advance(count: int) -> None:
        nonlocal reached
        reached += count
        for session in sessions.values():
            session.advance(reached)

    return advance


def measured(sides: dict[str, Advance], turns: int, networks: int) -> dict[str, float]:
    """The median time of each side, and how often the first takes that of the others."""
    taken = in_turns({name: here(advance) for name, advance in sides.items()}, turns)
    first = next(iter(taken))
    times = {n: round(1e6 * statistics.median(t) / networks, 1) for n, t in taken.items()}
    ratios = {
        f"{first} / {name}": round(
            statistics.median(a / b for a, b in zip(taken[first], taken[name], strict=True)), 2
        )
        for name in list(taken)[1:]
    }
    return times | ratios | {"turns": turns}


def measured_pair(name: str, turns: int, notes: list[str]) -> dict[str, float]:
    """One line of the results; ``notes`` takes what the engines say."""
    dense, stacked = DenseEngine("cpu"), StackedEngine("cpu")
    compiled, bf16 = CompiledEngine("cpu"), CompiledEngine("cpu", bf16=True)
    if name == "five":
        sides = {
            "dense": steps(dense, lenet_job, NETWORKS),
            "stacked": steps(stacked, lenet_job, NETWORKS),
        }
        return measured(sides, turns, NETWORKS)
    make = {"lenet": lenet_job, "resnet": resnet_job}[name]
    sides = {"dense": steps(dense, make), "compiled": steps(compiled, make)}
    if name == "resnet":
        sides["compiled-bf16"] = steps(bf16, make)
    row = measured(sides, turns, 1)
    notes += [*compiled.notes, *bf16.notes]
    return row


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    add_turns(parser)
    parser.add_argument("--pairs", nargs="+", default=list(PAIRS), choices=list(PAIRS))
    asked = parse(parser, argv, SMOKE)
    torch.set_num_threads(1)
    notes: list[str] = []
    rows = {PAIRS[name]: measured_pair(name, asked.turns, notes) for name in asked.pairs}
    answer: dict[str, object] = {
        "unit": "microseconds an iteration of one network (median)",
        "how": HOW,
        "machine": machine(),
        "density": DENSITY,
        **rows,
        "notes": notes,
    }
    print(json.dumps(answer, indent=1))
    keep(answer, RESULTS, asked)


if __name__ == "__main__":
    main()
