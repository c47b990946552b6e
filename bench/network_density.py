"""Claim: a whole training step of a convolutional network costs what its density says.
Peer: the better of the dense engine and torch's eager loop at its leanest, in channels-last.

    python bench/network_density.py [--network resnet-20 ...] [--density 1 0.5 0.1 0.02]
                                    [--seconds 20] [--smoke]

Milliseconds a step against density, one thread, random masks, random images of CIFAR-10's shape,
momentum, all sides in turns in one run. The dense engine works in NCHW, with its checks; the eager
loop has its images normalised beforehand, weights times a mask after each fused update, and no copy
or check besides. The engines gather, normalise and augment (flip-crop); the eager loop does not.
Goals against the better of the two dense sides: ResNet-20,
batch 128, at least 2.5 times faster at density 0.1 and 4 at 0.02; VGG-19, batch 64, 3.5 and 9.
Machines are shared and times drift: quote the ratios. Writes bench/results/network_density.json,
replacing the rows of the networks measured.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from script import arguments, keep, parse
from torch import Tensor, nn

from winnow.engine.base import Engine, Job, Split, TrainingData
from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.turns import Repeat, in_turns, machine, steps_of
from winnow.mask import Mask
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.state import fresh_state

BATCHES = {"lenet-300-100": 60, "conv-2": 60, "conv-6": 60, "resnet-20": 128, "vgg-19": 64}
SHAPE, EXAMPLES, MEAN, STD, RATE = (3, 32, 32), 2048, 120.0, 64.0, 0.01
MOMENTUM = {"name": "momentum", "lr": RATE, "weight_decay": 1e-4, "momentum": 0.9}
CONSTANT = {"name": "constant", "drops": [], "factor": None, "warmup": 0}
RESULTS = Path(__file__).parent / "results" / "network_density.json"
SMOKE = {"seconds": 0.01, "density": [0.02], "network": ["lenet-300-100", "resnet-20"]}


def network(name: str) -> nn.Module:
    """The network, with the same weights each time."""
    model = build(name, inputs=SHAPE, classes=10)
    initialise(model, "kaiming-normal", 0)
    return model


def random_mask(model: nn.Module, density: float) -> Mask:
    """A random mask over all matrices and kernels."""
    generator = torch.Generator().manual_seed(0)
    weights = {n: p for n, p in model.named_parameters() if p.ndim >= 2}
    return Mask({n: torch.rand(p.shape, generator=generator) < density for n, p in weights.items()})


def images() -> tuple[Tensor, Tensor]:
    """Random images uint8 and labels."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (EXAMPLES, *SHAPE), dtype=np.uint8)
    return torch.from_numpy(pixels), torch.from_numpy(draw.integers(0, 10, EXAMPLES))


def engine_steps(engine: Engine, name: str, density: float, x: Tensor, y: Tensor) -> Repeat:
    """Makes steps with an engine."""
    split = {"train": Split(x, y, torch.arange(len(y)))}
    augment = "none" if name.startswith("lenet") else "flip-crop"
    data = TrainingData(split, (MEAN,) * 3, (STD,) * 3, augment)
    seeds = {"order": 0, "augment": 0, "dropout": 0}
    model = network(name)
    job = Job(partial(network, name), data, 10**9, BATCHES[name], "drop", MOMENTUM, CONSTANT, seeds)
    return steps_of(engine, job, fresh_state(model, random_mask(model, density)))


def eager_steps(name: str, density: float, x: Tensor, y: Tensor) -> Repeat:
    """Makes steps with torch's own operations, in channels-last."""
    layout = torch.channels_last
    model = network(name).to(memory_format=layout)
    named, keep = dict(model.named_parameters()), random_mask(model, density)
    masked = [named[n] for n in keep]
    masks = [keep[n].float().contiguous(memory_format=_layout(keep[n])) for n in keep]
    optimizer = torch.optim.SGD(
        model.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4, fused=True
    )
    pixels = x.float().sub_(MEAN).div_(STD).contiguous(memory_format=layout)
    generator = torch.Generator().manual_seed(0)
    torch._foreach_mul_([p.data for p in masked], masks)

    def advance(count: int) -> None:
        for chosen in torch.randint(EXAMPLES, (count, BATCHES[name]), generator=generator):
            batch = pixels.index_select(0, chosen).contiguous(memory_format=layout)
            F.cross_entropy(model(batch), y.index_select(0, chosen)).backward()
            optimizer.step()
            optimizer.zero_grad()
            torch._foreach_mul_([p.data for p in masked], masks)

    return advance


def _layout(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.ndim == 4 else torch.contiguous_format


def measured(name: str, density: float, seconds: float, x: Tensor, y: Tensor) -> dict[str, object]:
    """One row: medians and minima of each side, and the ratios of both."""
    times = in_turns(
        {
            "sparse": engine_steps(SparseEngine(), name, density, x, y),
            "dense": engine_steps(DenseEngine("cpu"), name, density, x, y),
            "eager": eager_steps(name, density, x, y),
        },
        seconds,
        least=3,
    )
    row: dict[str, object] = {"network": name, "batch": BATCHES[name], "density": density}
    for about, of in (("median", statistics.median), ("least", min)):
        each = {side: of(t) * 1e3 for side, t in times.items()}
        row[about] = {side: round(value, 1) for side, value in each.items()}
        best = min(each["dense"], each["eager"])
        row[f"best dense / sparse, {about}"] = round(best / each["sparse"], 2)
    return row | {"turns": len(times["sparse"])}


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    parser.add_argument("--network", nargs="+", default=list(BATCHES), choices=list(BATCHES))
    parser.add_argument("--density", type=float, nargs="+", default=[1, 0.5, 0.2, 0.1, 0.05, 0.02])
    parser.add_argument("--seconds", type=float, default=20, help="for each row")
    asked = parse(parser, argv, SMOKE)
    torch.set_num_threads(1)
    x, y = images()
    before = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    rows = [row for row in before if row["network"] not in asked.network]
    for name in asked.network:
        for density in asked.density:
            rows.append(measured(name, density, asked.seconds, x, y))
            print(json.dumps(rows[-1]), flush=True)
    answer = {"unit": "milliseconds a step", "machine": machine(), "rows": rows}
    keep(answer, RESULTS, asked)


if __name__ == "__main__":
    main()
