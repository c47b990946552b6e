"""Claim: an iteration of Deep-R costs 1.1 plain sparse steps of ResNet-20, and 30 of LeNet-300-100.
Peer: the same engine's plain steps under the mask that Deep-R starts from, in turns.

    python bench/deep_r.py [--seconds 20] [--density 0.1] [--smoke]

LeNet-300-100, batch 60, Adam, which trains as a chain, and ResNet-20, batch 128, momentum, which
trains as a graph; random images, one thread, the method's defaults (an update each iteration). The
goal is 3 for both. A LeNet step takes 0.13 ms at density 0.1: the noise alone, one normal number
for each weight, takes as long as two. The processor's time, which other programs change less than
the wall's. Beside the ratio, how many weights were rewired in an iteration.
Writes bench/results/deep_r.json.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from lenet import ADAM, BATCH, CONSTANT, MEAN, STD, images, network
from script import arguments, keep, parse

from winnow.algorithms.dynamic.deep_r import DeepR
from winnow.algorithms.dynamic.driven import Driven, start_dynamic
from winnow.engine.base import Job, Split, TrainingData
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.turns import in_turns, machine, one_thread
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.state import fresh_state

RESULTS = Path(__file__).parent / "results" / "deep_r.json"
SMOKE = {"seconds": 0.2, "networks": ("LeNet-300-100",)}
MOMENTUM = {"name": "momentum", "lr": 0.03, "momentum": 0.9, "weight_decay": 1e-4}
EXAMPLES = 6000


def lenet_job() -> Job:
    x, y = images(EXAMPLES)
    data = TrainingData({"train": Split(x, y, torch.arange(len(y)))}, (MEAN,), (STD,))
    return Job(network, data, 10**9, BATCH, "keep", ADAM, CONSTANT, {"order": 0})


def resnet() -> torch.nn.Module:
    model = build("resnet-20", inputs=(3, 32, 32), classes=10)
    initialise(model, "kaiming-normal", 0)
    return model


def resnet_job() -> Job:
    draw = np.random.default_rng(0)
    x = torch.from_numpy(draw.integers(0, 256, (EXAMPLES, 3, 32, 32), dtype=np.uint8))
    y = torch.from_numpy(draw.integers(0, 10, EXAMPLES))
    data = TrainingData({"train": Split(x, y, torch.arange(len(y)))}, (MEAN,) * 3, (STD,) * 3)
    return Job(resnet, data, 10**9, 128, "drop", MOMENTUM, CONSTANT, {"order": 0})


JOBS = {"LeNet-300-100": lenet_job, "ResNet-20": resnet_job}


def measured(job: Job, density: float, seconds: float) -> dict[str, float]:
    """Microseconds of an iteration of both, their ratio, and weights rewired in an iteration."""
    model = job.build()
    names = [name for name, p in model.named_parameters() if p.ndim >= 2]
    method = DeepR(density=density)
    state = start_dynamic(method, fresh_state(model), names, 0)
    rewired: list[int] = []
    driven = Driven(SparseEngine(), method, 0).open(job, state)
    plain = SparseEngine().open(job, state)
    reached = {"deep-r": 0, "plain": 0}

    def further(name: str, session: object) -> object:
        def advance(count: int) -> None:
            reached[name] += count
            assert session.advance(reached[name]).diverged_at is None

        return advance

    driven.advance(20)
    reached["deep-r"] = 20
    for _ in range(10):  # what it rewires, before the clock runs
        before = dict(driven.look().mask)
        reached["deep-r"] += 1
        driven.advance(reached["deep-r"])
        after = driven.look().mask
        rewired.append(sum(int((after[n] & ~before[n]).sum()) for n in before))
    sides = {"deep-r": further("deep-r", driven), "plain": further("plain", plain)}
    times = in_turns(sides, seconds, 0.1, least=9 if seconds > 1 else 2, clock=time.process_time)
    took = {name: 1e6 * statistics.median(values) for name, values in times.items()}
    return {
        "deep-r": round(took["deep-r"], 1),
        "plain": round(took["plain"], 1),
        "deep-r / plain": round(took["deep-r"] / took["plain"], 2),
        "rewired weights": statistics.mean(rewired),
        "turns": len(times["plain"]),
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--density", type=float, default=0.1)
    parser.set_defaults(networks=tuple(JOBS))
    asked = parse(parser, argv, SMOKE)
    with one_thread():
        found = {n: measured(JOBS[n](), asked.density, asked.seconds) for n in asked.networks}
    answer = {
        "unit": "microseconds of the processor an iteration (median)",
        "machine": machine(),
        "density": asked.density,
        **found,
    }
    keep(answer, RESULTS, asked)
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
