"""Claim: a dense LeNet-300-100 iteration takes at most 1.6 ms on one core of a Zen 4 machine.
Peer: a training loop written the usual way, and JAX (jit + scan), in the same run and in turns.

    python bench/lenet_step.py [--seconds 15] [--density 0.2] [--smoke]

LeNet-300-100, batch 60, Adam with a mask, one thread, data included. The usual loop has a
DataLoader over a dataset that turns each image into a normalised tensor, dense weights times a mask
before each forward pass, and default Adam. JAX is bench/lenet_jax.py, left out where it is missing.
Random images of MNIST's shape, so that nothing has to be downloaded. Quote the ratio: machines are
shared, and absolute times drift. Writes bench/results/lenet_step.json.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from lenet import (
    BATCH,
    MEAN,
    RATE,
    STD,
    Advance,
    engine_steps,
    images,
    in_turns,
    network,
    random_mask,
)
from lenet_jax import jax_steps
from PIL import Image
from script import arguments, keep, parse
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from winnow.engine.dense import DenseEngine
from winnow.engine.turns import machine

EXAMPLES = 6000
RESULTS = Path(__file__).parent / "results" / "lenet_step.json"
SMOKE = {"seconds": 0.1}


class Pictures(Dataset[tuple[Tensor, int]]):
    """One image at a time, as most training scripts read them."""

    def __init__(self) -> None:
        x, self.labels = images(EXAMPLES)
        self.pictures = [Image.fromarray(picture[0].numpy()) for picture in x]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        pixels = torch.from_numpy(np.asarray(self.pictures[i]).copy())
        return pixels.float().div(255).sub(MEAN / 255).div(STD / 255), int(self.labels[i])


def usual_steps(density: float) -> Advance:
    """Trains so many iterations with a loop written the usual way."""
    model = network()
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


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--density", type=float, default=0.2)
    asked = parse(parser, argv, SMOKE)
    torch.set_num_threads(1)
    sides = {
        "winnow": engine_steps(DenseEngine("cpu"), asked.density, *images(EXAMPLES)),
        "usual": usual_steps(asked.density),
        "JAX": jax_steps(asked.density, *images(EXAMPLES)),
    }
    times = in_turns({name: side for name, side in sides.items() if side}, asked.seconds)
    answer = {
        "unit": "microseconds of the processor an iteration (median)",
        "machine": machine(),
        "density": asked.density,
    }
    answer |= {name: round(statistics.median(taken), 1) for name, taken in times.items()}
    for peer in [name for name in times if name != "winnow"]:
        ratios = [p / w for w, p in zip(times["winnow"], times[peer], strict=True)]
        answer[f"{peer} / winnow"] = round(statistics.median(ratios), 2)
    answer["turns"] = len(times["winnow"])
    print(json.dumps(answer, indent=1))
    keep(answer, RESULTS, asked)


if __name__ == "__main__":
    main()
