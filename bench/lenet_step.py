"""Claim: a dense LeNet-300-100 iteration takes at most 1.6 ms on one core of a Zen 4 machine.

    python bench/lenet_step.py [--seconds 3] [--density 0.2]

LeNet-300-100, batch 60, Adam with a mask, one thread, data included. The peer is a training loop
written the usual way, in the same run and in turns: a DataLoader over a dataset that turns each
image into a normalised tensor, dense weights times a mask before each forward pass, default Adam.
Random images of MNIST's shape, so that nothing has to be downloaded. Quote the ratio: machines are
shared, and absolute times drift.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from winnow.engine.base import Job, Split, TrainingData
from winnow.engine.dense import DenseEngine
from winnow.mask import Mask
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.state import fresh_state

EXAMPLES, BATCH, RATE, MEAN, STD = 6000, 60, 1.2e-3, 33.3, 78.6


def network() -> nn.Module:
    return build("lenet-300-100", inputs=(1, 28, 28), classes=10)


def images() -> tuple[Tensor, Tensor]:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (EXAMPLES, 1, 28, 28), dtype=np.uint8)
    return torch.from_numpy(pixels), torch.from_numpy(draw.integers(0, 10, EXAMPLES))


def random_mask(model: nn.Module, density: float) -> Mask:
    generator = torch.Generator().manual_seed(0)
    weights = {n: p for n, p in model.named_parameters() if p.ndim == 2}
    return Mask({n: torch.rand(p.shape, generator=generator) < density for n, p in weights.items()})


def winnow_steps(density: float) -> Callable[[int], None]:
    """Trains so many iterations with the dense engine."""
    x, y = images()
    index = torch.arange(EXAMPLES)
    optimizer = {
        "name": "adam",
        "lr": RATE,
        "weight_decay": 0.0,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
    }
    schedule = {"name": "constant", "drops": [], "factor": None, "warmup": 0}
    data = TrainingData({"train": Split(x, y, index)}, (MEAN,), (STD,))
    job = Job(network, data, 10**9, BATCH, "keep", optimizer, schedule, {"order": 0})
    model = network()
    initialise(model, "glorot-normal", 0)
    session = DenseEngine("cpu").open([job], [fresh_state(model, random_mask(model, density))])
    reached = 0

    def advance(count: int) -> None:
        nonlocal reached
        reached += count
        session.advance(reached)

    return advance


class Pictures(Dataset[tuple[Tensor, int]]):
    """One image at a time, as most training scripts read them."""

    def __init__(self) -> None:
        x, self.labels = images()
        self.pictures = [Image.fromarray(picture[0].numpy()) for picture in x]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        pixels = torch.from_numpy(np.asarray(self.pictures[i]).copy())
        return pixels.float().div(255).sub(MEAN / 255).div(STD / 255), int(self.labels[i])


def usual_steps(density: float) -> Callable[[int], None]:
    """Trains so many iterations with a loop written the usual way."""
    model = network()
    initialise(model, "glorot-normal", 0)
    mask = {n: keep.float() for n, keep in random_mask(model, density).items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    loader = DataLoader(Pictures(), batch_size=BATCH, shuffle=True)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader

    endless = batches()

    def advance(count: int) -> None:
        for _ in range(count):
            x, y = next(endless)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    if name in mask:
                        parameter.mul_(mask[name])
            optimizer.zero_grad()
            F.cross_entropy(model(x.unsqueeze(1)), y).backward()
            optimizer.step()

    return advance


def in_turns(sides: dict[str, Callable[[int], None]], seconds: float) -> dict[str, list[float]]:
    """Milliseconds an iteration of each side, measured in turns of 100 iterations."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for advance in sides.values():
        advance(50)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, advance in sides.items():
            began = time.perf_counter()
            advance(100)
            times[name].append((time.perf_counter() - began) * 10)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--density", type=float, default=0.2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    sides = {"winnow": winnow_steps(asked.density), "usual": usual_steps(asked.density)}
    times = in_turns(sides, asked.seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = [u / w for w, u in zip(times["winnow"], times["usual"], strict=True)]
    answer = {
        "milliseconds an iteration (median)": {k: round(v, 3) for k, v in medians.items()},
        "usual / winnow (median of pairs)": round(statistics.median(ratios), 2),
        "pairs": len(ratios),
        "density": asked.density,
        "torch": str(torch.__version__),
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
    }
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
