"""What the LeNet benches share: the job, random images of MNIST's shape, timing in turns."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from winnow.engine.base import Engine, Job, Split, TrainingData
from winnow.mask import Mask
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.state import fresh_state

BATCH, RATE, MEAN, STD = 60, 1.2e-3, 33.3, 78.6
ADAM = {"name": "adam", "lr": RATE, "weight_decay": 0.0, "betas": [0.9, 0.999], "eps": 1e-8}
CONSTANT = {"name": "constant", "drops": [], "factor": None, "warmup": 0}

Advance = Callable[[int], None]


def network() -> nn.Module:
    """The network, with the same weights each time."""
    model = build("lenet-300-100", inputs=(1, 28, 28), classes=10)
    initialise(model, "glorot-normal", 0)
    return model


def images(count: int) -> tuple[Tensor, Tensor]:
    """Random images uint8 (count, 1, 28, 28) and labels."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (count, 1, 28, 28), dtype=np.uint8)
    return torch.from_numpy(pixels), torch.from_numpy(draw.integers(0, 10, count))


def random_mask(model: nn.Module, density: float) -> Mask:
    """Random masks; the output layer has the square root of the density, as in the paper."""
    generator = torch.Generator().manual_seed(0)
    weights = {n: p for n, p in model.named_parameters() if p.ndim == 2}
    own = {n: density**0.5 if len(p) == 10 else density for n, p in weights.items()}
    return Mask({n: torch.rand(p.shape, generator=generator) < own[n] for n, p in weights.items()})


def engine_steps(engine: Engine, density: float, x: Tensor, y: Tensor) -> Advance:
    """Trains so many iterations with an engine."""
    data = TrainingData({"train": Split(x, y, torch.arange(len(y)))}, (MEAN,), (STD,))
    job = Job(network, data, 10**9, BATCH, "keep", ADAM, CONSTANT, {"order": 0})
    model = network()
    session = engine.open(job, fresh_state(model, random_mask(model, density)))
    reached = 0

    def advance(count: int) -> None:
        nonlocal reached
        reached += count
        session.advance(reached)

    return advance


def in_turns(
    sides: dict[str, Advance], seconds: float, warm: int = 50, least: int = 10
) -> dict[str, list[float]]:
    """Microseconds of the processor an iteration of each side, in turns of about 60 ms.

    ``warm``: iterations before any is timed. ``least``: iterations of a turn at least. The time is
    that of this process on all its cores: whatever else runs on the machine is not in it.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    counts: dict[str, int] = {}
    for name, advance in sides.items():
        advance(warm)
        began = time.process_time()
        advance(warm)
        counts[name] = max(least, round(warm * 0.06 / (time.process_time() - began)))
        advance(counts[name])  # what is compiled for a number of steps has been so by now
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, advance in sides.items():
            began = time.process_time()
            advance(counts[name])
            times[name].append((time.process_time() - began) / counts[name] * 1e6)
    return times
