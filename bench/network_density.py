"""Claim: a whole training step of a convolutional network costs what its density says.
Peer: the fastest of five dense ones in torch, eager and compiled, in both layouts; and of JAX.

    python bench/network_density.py [--network resnet-20 ...] [--density 1 0.5 0.1 0.02]
                                    [--turns 9] [--smoke]

Milliseconds of the processor for a step against density, of the sparse engine with maps in float32
(``sparse``) and in bf16 (``sparse-bf16``), one thread, random masks, random images of
CIFAR-10's shape, momentum; all sides and densities in turns in one run, each turn with cold caches;
medians. Ratios are medians of those of a turn. The dense sides: Winnow's dense engine (NCHW, with
its checks); torch's eager loop, with a fused update, and the whole step compiled as one piece, each
in NCHW and channels-last; the whole step in JAX, where JAX is (bench/elsewhere.py). All but the
engine train without masks, checks, copies and augmentation, on images normalised beforehand: masks
would only cost them time, which therefore is the same at all densities. Winnow's engines gather,
normalise and augment (flip-crop). A dense side that takes more than four times the fastest's first
step takes no turns: that step's time is told. Goals against the fastest of the dense sides:
ResNet-20, batch 128, 3 times as fast at density 0.1 and 5 at 0.02; VGG-19, batch 64, 5 and 12;
Conv-6, batch 60, 4 and 10. Machines are shared: quote the ratios. Writes
bench/results/network_density.json, replacing the rows of the networks measured on this family of
processors.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from elsewhere import Elsewhere, jax_python
from script import add_turns, arguments, keep, kept, parse
from torch import Tensor, nn
from turns import HOW, Repeat, Timed, here, in_turns
from whole_step import compiled

from winnow.engine import make_engine
from winnow.engine.base import Engine, Job, Split, TrainingData
from winnow.engine.dense import DenseEngine
from winnow.engine.turns import machine, steps_of
from winnow.mask import Mask
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.state import fresh_state

BATCHES = {"lenet-300-100": 60, "conv-2": 60, "conv-6": 60, "resnet-20": 128, "vgg-19": 64}
SHAPE, EXAMPLES, MEAN, STD, RATE = (3, 32, 32), 2048, 120.0, 64.0, 0.01
MOMENTUM = {"name": "momentum", "lr": RATE, "weight_decay": 1e-4, "momentum": 0.9}
CONSTANT = {"name": "constant", "drops": [], "factor": None, "warmup": 0}
LAYOUTS = {"NCHW": torch.contiguous_format, "channels-last": torch.channels_last}
TORCH = [f"{how}, {layout}" for how in ("eager", "compiled") for layout in LAYOUTS]
OURS = ["sparse", "sparse-bf16"]
DENSE = ["dense engine", *TORCH, "JAX"]
SLOW = 4  # times the fastest: no rival
RESULTS = Path(__file__).parent / "results" / "network_density.json"
SMOKE = {
    "turns": 1,
    "density": [0.02],
    "network": ["lenet-300-100", "resnet-20"],
    "dense": ["eager, channels-last"],
}


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


@functools.cache
def images() -> tuple[Tensor, Tensor]:
    """Random images uint8 and labels."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (EXAMPLES, *SHAPE), dtype=np.uint8)
    return torch.from_numpy(pixels), torch.from_numpy(draw.integers(0, 10, EXAMPLES))


@functools.cache
def normalised(layout: torch.memory_format) -> Tensor:
    """The images as the dense sides take them."""
    return images()[0].float().sub_(MEAN).div_(STD).contiguous(memory_format=layout)


# ---- the sides


def engine_steps(engine: Engine, name: str, density: float) -> Repeat:
    """Makes steps with an engine."""
    x, y = images()
    split = {"train": Split(x, y, torch.arange(len(y)))}
    augment = "none" if name.startswith("lenet") else "flip-crop"
    data = TrainingData(split, (MEAN,) * 3, (STD,) * 3, augment)
    seeds = {"order": 0, "augment": 0, "dropout": 0}
    model = network(name)
    job = Job(partial(network, name), data, 10**9, BATCHES[name], "drop", MOMENTUM, CONSTANT, seeds)
    return steps_of(engine, job, fresh_state(model, random_mask(model, density)))


def eager_step(model: nn.Module) -> Callable[[Tensor, Tensor], None]:
    """A step by torch's own operations."""
    optimizer = torch.optim.SGD(
        model.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4, fused=True
    )

    def step(x: Tensor, y: Tensor) -> None:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def torch_steps(name: str, how: str, layout: torch.memory_format) -> Repeat:
    """Makes steps with torch, ``eager`` or ``compiled``."""
    model = network(name).to(memory_format=layout)
    pixels, y = normalised(layout), images()[1]
    generator = torch.Generator().manual_seed(0)

    def batch(chosen: Tensor) -> tuple[Tensor, Tensor]:
        x = pixels.index_select(0, chosen).contiguous(memory_format=layout)
        return x, y.index_select(0, chosen)

    if how == "eager":
        step = eager_step(model)
    else:
        step = compiled(model, *batch(torch.arange(BATCHES[name])), RATE, 0.9, 1e-4)

    def advance(count: int) -> None:
        for chosen in torch.randint(EXAMPLES, (count, BATCHES[name]), generator=generator):
            step(*batch(chosen))

    return advance


def jax_steps(name: str, python: str) -> Timed:
    """Makes steps with JAX, of a network that gives the same loss as torch's."""
    model, x, y = network(name), normalised(torch.contiguous_format), images()[1]
    batch = BATCHES[name]
    with torch.no_grad():
        expected = float(F.cross_entropy(model(x[:batch]), y[:batch]))
    model = network(name)
    about = {"network": name, "batch": batch, "optimizer": "momentum"}
    values = {n: t for n, t in model.state_dict().items() if t.is_floating_point()}
    side = Elsewhere(
        python,
        about | {"rate": RATE, "decay": 1e-4, "momentum": 0.9},
        {"pixels": x, "labels": y, **values},
    )
    assert abs(side.loss - expected) < 1e-3 * expected, (name, side.loss, expected)
    return side


def dense_sides(name: str, chosen: Sequence[str]) -> dict[str, Timed]:
    """The dense sides of these names; without JAX where it is not installed."""
    sides: dict[str, Timed] = {}
    for side in chosen:
        how, _, layout = side.partition(", ")
        if side == "dense engine":
            sides[side] = here(engine_steps(DenseEngine("cpu"), name, 1.0))
        elif side != "JAX":
            sides[side] = here(torch_steps(name, how, LAYOUTS[layout]))
        elif python := jax_python():
            sides[side] = jax_steps(name, python)
    return sides


def without_slow(sides: dict[str, Timed]) -> dict[str, float]:
    """Takes away the sides that are no rivals. Returns the milliseconds of their step."""
    firsts = {}
    for name, timed in sides.items():
        timed(1)
        firsts[name] = 1e3 * timed(1)
    least = min(firsts.values())
    slow = {name: round(ms, 1) for name, ms in firsts.items() if ms > SLOW * least}
    for name in slow:
        del sides[name]
    return slow


# ---- rows


def measured(
    name: str, densities: Sequence[float], dense: Sequence[str], turns: int
) -> list[dict[str, object]]:
    """The rows of a network, one for each density."""
    rivals = dense_sides(name, dense)
    slow = without_slow(rivals)
    kinds = OURS[:1] if name.startswith("lenet") else OURS  # a chain has no maps to store
    ours = {
        f"{kind} {d}": here(engine_steps(make_engine(kind), name, d))
        for d in densities
        for kind in kinds
    }
    times = in_turns({**rivals, **ours}, turns)
    return [
        {"network": name, "batch": BATCHES[name], "density": d}
        | summary({kind: times[f"{kind} {d}"] for kind in kinds}, {r: times[r] for r in rivals})
        | {"turns": turns, "too slow for turns": slow}
        for d in densities
    ]


def summary(
    ours: Mapping[str, Sequence[float]], rivals: Mapping[str, Sequence[float]]
) -> dict[str, object]:
    """Medians and minima of each side in milliseconds; the fastest dense side by each of ours."""
    times = {**ours, **rivals}
    medians = {side: statistics.median(of) for side, of in times.items()}
    best = min(rivals, key=lambda side: medians[side])
    found: dict[str, object] = {
        "median": {side: round(1e3 * value, 1) for side, value in medians.items()},
        "least": {side: round(1e3 * min(of), 1) for side, of in times.items()},
        "best dense": best,
    }
    for side, mine in ours.items():
        ratios = [a / b for a, b in zip(rivals[best], mine, strict=True)]
        found[f"best dense / {side}, median"] = round(statistics.median(ratios), 2)
        found[f"best dense / {side}, least"] = round(min(rivals[best]) / min(mine), 2)
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    parser.add_argument("--network", nargs="+", default=list(BATCHES), choices=list(BATCHES))
    parser.add_argument("--density", type=float, nargs="+", default=[1, 0.5, 0.2, 0.1, 0.05, 0.02])
    parser.add_argument("--dense", nargs="+", default=DENSE, choices=DENSE, help="the dense sides")
    add_turns(parser)
    asked = parse(parser, argv, SMOKE)
    torch.set_num_threads(1)
    before = kept(RESULTS).get("rows", [])
    rows = [row for row in before if row["network"] not in asked.network]
    for name in asked.network:
        print(f"{name}: compiling and measuring", file=sys.stderr, flush=True)
        for row in measured(name, asked.density, asked.dense, asked.turns):
            rows.append(row)
            print(json.dumps(row), flush=True)
        answer = {"unit": "milliseconds a step", "how": HOW, "machine": machine(), "rows": rows}
        keep(answer, RESULTS, asked)  # after each network: a run cut short keeps what it has


if __name__ == "__main__":
    main()
