"""Claim: a LeNet-300-100 iteration costs what its density says, not what dense weights would.
Peer: torch's eager loop at its leanest, and the dense engine, in the same run and in turns.

    python bench/lenet_density.py [--seconds 4] [--density 1 0.5 0.2 0.1 0.02] [--smoke]

LeNet-300-100, batch 60, Adam, one thread, data included: microseconds an iteration against
density. The eager loop has its images normalised beforehand and gathered by index, the weights
times a mask in the forward pass, fused Adam, and no copy or check besides. Random images of MNIST's
shape and number.
Goals on one Zen 4 core: at most 1,150 µs at density 1, 300 at 0.2, 170 at 0.1, 60 at 0.02; against
eager torch at least 1.2 times faster at 1, 8 at 0.1, 20 at 0.02. Machines are shared and times
drift: quote the ratios. Writes bench/results/lenet_density.json.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

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
from script import arguments, keep, parse
from torch import Tensor

from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.turns import machine

EXAMPLES = 55_000
RESULTS = Path(__file__).parent / "results" / "lenet_density.json"
SMOKE = {"seconds": 0.1, "density": [0.02]}


def eager_steps(density: float, pixels: Tensor, y: Tensor) -> Advance:
    """Trains so many iterations with torch's own operations. ``pixels``: normalised, (N, 784)."""
    model = network()
    keep = [k.float() for k in random_mask(model, density).values()]
    weights = [p for p in model.parameters() if p.ndim == 2]
    biases = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    generator = torch.Generator().manual_seed(0)

    def advance(count: int) -> None:
        order = torch.randint(EXAMPLES, (count, BATCH), generator=generator)
        for chosen in order:
            h = pixels.index_select(0, chosen)
            for weight, mask, bias in zip(weights[:-1], keep[:-1], biases[:-1], strict=True):
                h = F.relu(F.linear(h, weight * mask, bias))
            logits = F.linear(h, weights[-1] * keep[-1], biases[-1])
            F.cross_entropy(logits, y.index_select(0, chosen)).backward()
            optimizer.step()
            optimizer.zero_grad()

    return advance


def measured(density: float, seconds: float, x: Tensor, y: Tensor) -> dict[str, float]:
    """One row: medians, and the medians of the ratios of each turn."""
    pixels = x.view(EXAMPLES, -1).float().sub_(MEAN).div_(STD)
    sides = {
        "sparse": engine_steps(SparseEngine(), density, x, y),
        "dense": engine_steps(DenseEngine("cpu"), density, x, y),
        "eager": eager_steps(density, pixels, y),
    }
    times = in_turns(sides, seconds)
    row = {"density": density} | {n: round(statistics.median(t), 1) for n, t in times.items()}
    for peer in ("dense", "eager"):
        ratios = [p / s for s, p in zip(times["sparse"], times[peer], strict=True)]
        row[f"{peer} / sparse"] = round(statistics.median(ratios), 2)
    return row | {"turns": len(times["sparse"])}


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="for each density")
    parser.add_argument(
        "--density", type=float, nargs="+", default=[1, 0.8, 0.64, 0.5, 0.33, 0.2, 0.1, 0.05, 0.02]
    )
    asked = parse(parser, argv, SMOKE)
    torch.set_num_threads(1)
    x, y = images(EXAMPLES)
    rows = []
    for density in asked.density:
        rows.append(measured(density, asked.seconds, x, y))
        print(json.dumps(rows[-1]), flush=True)
    answer = {"unit": "microseconds an iteration (median)", "machine": machine(), "rows": rows}
    keep(answer, RESULTS, asked)


if __name__ == "__main__":
    main()
