"""Claim: a sparse 3x3 convolution, forward and both gradients, costs what its density says.
Peer: oneDNN through torch, the better of NCHW and channels-last for each layer.

    python bench/conv_density.py [--turns 15] [--density 1 0.5 0.2 0.1 0.05 0.02 0.01] [--smoke]

Eight layers of ResNet-20 and VGG-19, batch 64, one thread, random masks; the peer runs conv2d, and
convolution_backward for both gradients. In turns, in one run; in a turn each kernel runs once, with
cold caches, as in a training step, where other layers have worked since; medians of each kernel;
processor time, as machines are shared. Goals for the geometric mean over the layers: at least 4
times faster at density 0.1, 12 at 0.02; break-even at 0.45 or above, where the ratio, straight
between the densities measured, crosses 1. Writes bench/results/conv_density.json.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from script import add_turns, arguments, keep, parse
from turns import HOW, here, in_turns

from winnow.engine.sparse_cpu.graph import correlate
from winnow.engine.sparse_cpu.graph.lists import convolution_lists
from winnow.engine.sparse_cpu.graph.map import Map
from winnow.engine.sparse_cpu.kernels import block_gradient, block_product
from winnow.engine.turns import machine
from winnow.kernels.arrays import NO_FLOATS, Floats
from winnow.kernels.cache import prepare
from winnow.kernels.simd import W

BATCH = 64
LAYERS = {
    "ResNet-20, 16 channels, 32x32": (16, 32),
    "ResNet-20, 32 channels, 16x16": (32, 16),
    "ResNet-20, 64 channels, 8x8": (64, 8),
    "VGG-19, 64 channels, 32x32": (64, 32),
    "VGG-19, 128 channels, 16x16": (128, 16),
    "VGG-19, 256 channels, 8x8": (256, 8),
    "VGG-19, 512 channels, 4x4": (512, 4),
    "VGG-19, 512 channels, 2x2": (512, 2),
}
DENSITIES = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01]
RESULTS = Path(__file__).parent / "results" / "conv_density.json"
SMOKE = {"turns": 1, "density": [1, 0.02], "layers": ["VGG-19, 512 channels, 2x2"]}

Side = dict[str, Callable[[], None]]  # kernel -> run it once


def dense(channels: int, side: int, layout: torch.memory_format) -> Side:
    """oneDNN's convolution in one memory layout."""
    generator = torch.Generator().manual_seed(0)
    x, delta = (torch.randn(BATCH, channels, side, side, generator=generator) for _ in range(2))
    weight = torch.randn(channels, channels, 3, 3, generator=generator)
    x, delta, weight = (t.to(memory_format=layout) for t in (x, delta, weight))

    def forward() -> None:
        F.conv2d(x, weight, padding=1)

    def backward() -> None:
        torch.ops.aten.convolution_backward(
            delta, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, False]
        )

    return {"forward": forward, "gradients": backward}


def buffers(channels: int, side: int) -> list[Floats]:
    """Input, gradient by the output, output, gradient by the input."""
    layout, draw = Map(channels, side, side, 1), np.random.default_rng(0)
    images = torch.from_numpy(draw.normal(size=(BATCH, channels, side, side)))
    return [layout.pack(images) for _ in range(4)]


def sparse(channels: int, side: int, density: float, maps: list[Floats]) -> tuple[Side, int]:
    """Winnow's kernels, and how many nonzeros they have."""
    draw = np.random.default_rng(0)
    keep = draw.random((channels, channels, 3, 3)) < density
    layout = Map(channels, side, side, 1)
    made = convolution_lists(keep, (1, 1), (1, 1), layout, layout, BATCH)
    there, (back,) = made.forward, made.backward
    x, delta, out, dx = maps
    weight = draw.normal(size=len(there.offset)).astype(np.float32)
    turned, gradient = weight[back.place], np.empty_like(weight)
    partial, present = np.empty(there.scratch, np.float32), np.ones(W, np.float32)

    def forward() -> None:
        correlate.correlate(
            there.grid, there.start, there.offset, weight, there.at, NO_FLOATS, x, out,
            present, False, NO_FLOATS, NO_FLOATS,
        )  # fmt: skip

    def input_gradient() -> None:
        correlate.correlate_back(
            back.grid, back.start, back.offset, turned, back.at, delta, dx, False
        )  # fmt: skip

    def weight_gradient() -> None:
        correlate.weight_gradient(
            there.grid, there.start, there.offset, there.at, x, delta, partial, gradient
        )

    kernels = {"forward": forward, "by input": input_gradient, "by weight": weight_gradient}
    return kernels, len(weight)


def medians(sides: dict[str, Side], turns: int) -> dict[str, dict[str, float]]:
    """Processor seconds of every kernel of every side, each once a turn."""
    runs = {
        (name, kernel): here(lambda _, run=run: run(), time.thread_time)
        for name, side in sides.items()
        for kernel, run in side.items()
    }
    times = in_turns(runs, turns, turn=0, warm=1)
    return {
        name: {kernel: statistics.median(times[name, kernel]) for kernel in side}
        for name, side in sides.items()
    }


def measured(layer: str, densities: list[float], turns: int) -> list[dict[str, object]]:
    """The rows of one layer."""
    channels, side = LAYERS[layer]
    sides = {
        "NCHW": dense(channels, side, torch.contiguous_format),
        "channels-last": dense(channels, side, torch.channels_last),
    }
    nonzeros, maps = {}, buffers(channels, side)
    for density in densities:
        sides[str(density)], nonzeros[density] = sparse(channels, side, density, maps)
    each = medians(sides, turns)
    whole = {name: sum(kernels.values()) for name, kernels in each.items()}
    peer = min(("NCHW", "channels-last"), key=lambda name: whole[name])
    work = 2 * BATCH * side * side  # operations for each nonzero
    rows: list[dict[str, object]] = []
    for density, count in nonzeros.items():
        times = each[str(density)]
        rows.append(
            {"layer": layer, "density": density, "dense": peer}
            | {"ms": round(1e3 * whole[str(density)], 3), "dense ms": round(1e3 * whole[peer], 3)}
            | {"ratio": round(whole[peer] / whole[str(density)], 2)}
            | {f"GFLOP/s {n}": round(work * count / t / 1e9, 1) for n, t in times.items()}
            | {"GFLOP/s dense": round(3 * work * 9 * channels**2 / whole[peer] / 1e9, 1)}
        )
    return rows


def means(rows: list[dict[str, object]]) -> dict[str, float]:
    """The geometric mean of the ratios, by density."""
    ratios: dict[str, list[float]] = {}
    for row in rows:
        ratios.setdefault(str(row["density"]), []).append(math.log(float(str(row["ratio"]))))
    return {d: round(math.exp(sum(logs) / len(logs)), 2) for d, logs in ratios.items()}


def break_even(ratio: dict[str, float]) -> float | None:
    """The density where the ratio is 1, between the densities measured; None where it is not."""
    points = sorted((float(d), r) for d, r in ratio.items())
    for (d, r), (e, s) in itertools.pairwise(points):
        if r >= 1 > s:
            return round(d + (e - d) * (r - 1) / (r - s), 2)
    return None


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    add_turns(parser, 15)
    parser.add_argument("--density", type=float, nargs="+", default=DENSITIES)
    parser.add_argument("--layers", nargs="+", default=list(LAYERS), choices=list(LAYERS))
    asked = parse(parser, argv, SMOKE)
    torch.set_num_threads(1)
    prepare("products", block_product.ENTRIES + block_gradient.ENTRIES)
    rows = []
    for layer in asked.layers:
        some = measured(layer, asked.density, asked.turns)
        rows += some
        for row in some:
            print(json.dumps(row), flush=True)
    mean = means(rows)
    answer = {
        "unit": "milliseconds, forward and both gradients", "how": HOW, "machine": machine(),
        "turns": asked.turns, "geometric mean of the ratios": mean,
        "break-even density": break_even(mean), "rows": rows,
    }  # fmt: skip
    print(json.dumps({"mean": mean, "break-even": answer["break-even density"]}))
    keep(answer, RESULTS, asked)


if __name__ == "__main__":
    main()
