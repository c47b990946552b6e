"""Claim: moments of per-example gradients cost about one forward and backward pass.
Peer: a plain forward and backward pass over the same images; one example at a time; torch.func.

    python bench/moments.py [--images 256] [--turns 9] [--network resnet-20 vgg-11] [--smoke]

The mean absolute and the mean squared per-example gradient of all Linear and Conv weights, in
batches of 128; the first in batches of 32 too, beside torch.func.vmap over grad in chunks of 32 and
one example at a time, which take 32 images a turn. Random images of CIFAR-10's shape, evaluation
mode, all sides in turns in one run with cold caches, the processor time of their one thread.
Passes: the median of the ratios of a turn. Memory: what a process needs beyond model, images and
code, at its peak, for one batch. Goals: at most 1.5 passes on ResNet-20 and 2 on VGG-11, at most
1.5 times a plain step's memory; at equal batches no more time and memory than vmap. Machines are
shared and times drift: quote the ratios. Writes bench/results/moments.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from script import add_turns, alone, arguments, keep, kept, parse
from torch import Tensor
from torch.func import functional_call, grad, vmap
from turns import HOW, here, in_turns

from winnow.engine.turns import machine
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.moments import MomentKind, moments
from winnow.selection import prunable

BATCH, CHUNK, FEW, WARM = 128, 32, 32, 16
SIDES = ["plain", "abs", "square", "abs, 32 at a time", "one by one", "vmap, 32 at a time"]
RESULTS = Path(__file__).parent / "results" / "moments.json"
SMOKE = {"images": 32, "turns": 1, "network": ["resnet-20"], "sides": ["plain", "abs"]}


class Sides:
    """What is compared: each computes over its images once. ``images``: how many those are."""

    def __init__(self, network: str, images: int) -> None:
        self.model = build(network, inputs=(3, 32, 32), classes=10)
        initialise(self.model, "kaiming-normal", 0)
        self.model.eval()
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(images, 3, 32, 32, generator=draw)
        self.y = torch.randint(10, (images,), generator=draw)
        self.weights = prunable(self.model)
        self.all: dict[str, tuple[Callable[[], object], int]] = {
            "plain": (self.plain, images),
            "abs": (lambda: self.moments("abs", BATCH), images),
            "square": (lambda: self.moments("square", BATCH), images),
            "abs, 32 at a time": (lambda: self.moments("abs", CHUNK), images),
            "one by one": (lambda: self.one_by_one(FEW), FEW),
            "vmap, 32 at a time": (lambda: self.vmap(FEW), FEW),
        }

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(self.x.split(size), self.y.split(size), strict=True)

    def plain(self) -> None:
        for x, y in self.batches(BATCH):
            self.model.zero_grad()
            F.cross_entropy(self.model(x), y).backward()

    def moments(self, kind: MomentKind, size: int) -> dict[str, Tensor]:
        return moments(self.model, self.batches(size), F.cross_entropy, self.weights, kind)

    def one_by_one(self, count: int) -> list[Tensor]:
        weights = list(self.weights.values())
        sums = [torch.zeros_like(w) for w in weights]
        for i in range(min(count, len(self.x))):
            loss = F.cross_entropy(self.model(self.x[i : i + 1]), self.y[i : i + 1])
            for total, g in zip(sums, torch.autograd.grad(loss, weights), strict=True):
                total += g.abs()
        return sums

    def vmap(self, count: int) -> dict[str, Tensor]:
        def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(functional_call(self.model, weights, (x[None],)), y[None])

        values = {name: w.detach() for name, w in self.weights.items()}
        sums = {name: torch.zeros_like(w) for name, w in values.items()}
        for start in range(0, min(count, len(self.x)), CHUNK):
            some = slice(start, start + CHUNK)
            each = vmap(grad(loss), in_dims=(None, 0, 0))(values, self.x[some], self.y[some])
            for name, g in each.items():
                sums[name] += g.abs().sum(0)
        return sums


def peak(network: str, side: str) -> float:
    """MiB that a side needs in a process of its own, with one batch, beyond model, images, code."""
    return float(alone(__file__, "--peak", side, "--network", network))


def print_peak(network: str, side: str) -> None:
    Sides(network, WARM).all[side][0]()  # code is loaded
    sides = Sides(network, BATCH)
    before = _status("VmRSS")
    sides.all[side][0]()
    print((_status("VmHWM") - before) / 1024)


def _status(field: str) -> int:
    """KiB, of this process alone; Linux only. getrusage would count the parent's peak as well."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def measured(network: str, images: int, turns: int, names: Sequence[str]) -> dict[str, object]:
    """One network: milliseconds an image, passes, peak memory of every side."""
    sides = {name: Sides(network, images).all[name] for name in names}
    for name in names:  # loads code, compiles kernels
        Sides(network, WARM).all[name][0]()
    runs = {name: here(lambda _, run=run: run()) for name, (run, _) in sides.items()}
    times = in_turns(runs, turns, turn=0, warm=0)
    each = {name: [t / sides[name][1] for t in taken] for name, taken in times.items()}
    row: dict[str, object] = {"network": network, "images": images, "turns": turns}
    for name, taken in each.items():
        ratios = [t / p for t, p in zip(taken, each["plain"], strict=True)]
        row[name] = {
            "ms an image": round(1e3 * statistics.median(taken), 3),
            "passes": round(statistics.median(ratios), 2),
            "MiB": round(peak(network, name)),
        }
    return row


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    parser.add_argument("--images", type=int, default=256)
    add_turns(parser)
    parser.add_argument("--network", nargs="+", default=["resnet-20", "vgg-11"])
    parser.add_argument("--sides", nargs="+", default=SIDES, choices=SIDES)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    asked = parse(parser, argv, SMOKE)
    torch.set_num_threads(1)
    if asked.peak:
        print_peak(asked.network[0], asked.peak)
        return
    before = kept(RESULTS).get("rows", [])
    rows = [row for row in before if row["network"] not in asked.network]
    for network in asked.network:
        rows.append(measured(network, asked.images, asked.turns, asked.sides))
        print(json.dumps(rows[-1]), flush=True)
    keep({"how": HOW, "machine": machine(), "rows": rows}, RESULTS, asked)


if __name__ == "__main__":
    main()
