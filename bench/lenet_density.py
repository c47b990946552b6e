"""Claim: a LeNet-300-100 iteration costs what its density says, not what dense weights would.
Peer: JAX (jit + scan), torch's whole step compiled, its leanest eager loop, the dense engine.

    python bench/lenet_density.py [--seconds 15] [--density 1 0.5 0.2 0.1 0.02] [--smoke]

LeNet-300-100, batch 60, Adam, one thread, data included: microseconds an iteration against
density, in turns. JAX runs all steps of a turn in one compiled call (bench/lenet_jax.py; pip
install 'jax[cpu]', left out without it). The compiled step is Winnow's engine of that name, which
needs a C++ compiler. The eager loop has its images normalised beforehand and gathered by index, the
weights times a mask in the forward pass, fused Adam, and no copy or check besides. Random images of
MNIST's shape and number. Numbers too small for full precision are zero on every side, as XLA has
them: slots of dead units are soon of that kind, and processors are slow at them. Times are the
processor's.
Goals: JAX takes at least 0.9 times as long at density 1, 5.5 times at 0.1. Machines are shared and
times drift: quote the ratios. Writes bench/results/lenet_density.json.
"""

from __future__ import annotations

import json
import statistics
import sys
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
from lenet_jax import jax_steps
from script import arguments, keep, parse
from torch import Tensor

from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.denormals import denormals_as_zero
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


def compiled_steps(density: float, x: Tensor, y: Tensor) -> Advance | None:
    """Trains with the whole step compiled; None, said on stderr, where it cannot be."""
    engine = CompiledEngine("cpu")
    advance = engine_steps(engine, density, x, y)
    advance(1)
    if engine.notes:
        print(f"no compiled step: {'; '.join(engine.notes)}", file=sys.stderr)
        return None
    return advance


def measured(density: float, seconds: float, x: Tensor, y: Tensor) -> dict[str, float]:
    """One row: medians, and the medians of the ratios of each turn."""
    pixels = x.view(EXAMPLES, -1).float().sub_(MEAN).div_(STD)
    sides = {
        "sparse": engine_steps(SparseEngine(), density, x, y),
        "JAX": jax_steps(density, x, y),
        "compiled": compiled_steps(density, x, y),
        "eager": eager_steps(density, pixels, y),
        "dense": engine_steps(DenseEngine("cpu"), density, x, y),
    }
    times = in_turns({name: side for name, side in sides.items() if side}, seconds)
    row = {"density": density} | {n: round(statistics.median(t), 1) for n, t in times.items()}
    for peer in [name for name in times if name != "sparse"]:
        ratios = [p / s for s, p in zip(times["sparse"], times[peer], strict=True)]
        row[f"{peer} / sparse"] = round(statistics.median(ratios), 2)
    return row | {"turns": len(times["sparse"])}


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=15, help="for each density")
    parser.add_argument(
        "--density", type=float, nargs="+", default=[1, 0.8, 0.64, 0.5, 0.33, 0.2, 0.1, 0.05, 0.02]
    )
    asked = parse(parser, argv, SMOKE)
    torch.set_num_threads(1)
    x, y = images(EXAMPLES)
    rows = []
    with denormals_as_zero():
        for density in asked.density:
            rows.append(measured(density, asked.seconds, x, y))
            print(json.dumps(rows[-1]), flush=True)
    answer = {
        "unit": "microseconds of the processor an iteration (median)",
        "how": "processor time, warm caches, medians of alternating turns",
        "machine": machine(),
        "rows": rows,
    }
    keep(answer, RESULTS, asked)


if __name__ == "__main__":
    main()
