"""Claim: criteria cost little more than the gradients they are made of.
Peer: a plain torch forward and backward pass, in the same run and in turns; GraSP as usually coded.

    python bench/scoring.py [--turns 9] [--networks vgg-19 resnet-32] [--criteria snip grasp]
                            [--smoke]

100 images 3x32x32 on one thread, VGG-19 and ResNet-32 of double width, in train mode: CPU seconds,
as machines are shared, medians of the turns, each with cold caches. GraSP as usually coded:
gradients of both halves, then again with a graph, and torch's own double backward. Data-dependent
scores and OBD include the forward pass that estimates the statistics of batch normalisation;
SynFlow is one round of its hundred; of MLPrune, which inverts matrices, there is only a first call.
Peak memory (resident, with torch and the network) is of one call in a process of its own, and so is
the first call's time, with what is loaded for it. Writes bench/results/scoring.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from script import add_turns, alone, arguments, keep, parse
from torch import Tensor, nn
from turns import HOW, here, in_turns

import winnow as wn
from winnow.criteria import CRITERIA
from winnow.engine.turns import machine
from winnow.models import build
from winnow.models.initialise import initialise

RESULTS = Path(__file__).parent / "results" / "scoring.json"
SMOKE = {"turns": 1, "networks": ["resnet-20"], "criteria": ["snip"]}
WIDTHS = {"vgg-19": 1.0, "resnet-32": 2.0}
GOALS = {"snip": 1.2, "grasp": 3.5, "data-dependent": 2.0, "obd": 2.0, "synflow": 0.1}
PEERS = ("plain", "usual grasp")
FIRST = "first call, s"
ONCE = ("mlprune",)  # half a minute each


def network(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    """The network and 100 images with labels, the same each time."""
    model = build(name, inputs=(3, 32, 32), classes=10, width=WIDTHS.get(name, 0.25))
    initialise(model, "kaiming-normal", 0)
    x = torch.randn(100, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return model, x, torch.arange(100) % 10


def plain(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """One forward and backward pass."""
    model.zero_grad()
    F.cross_entropy(model(x), y).backward()


def usual_grasp(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """w·(Hg) as most code computes it."""
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    halves = [(x[:50], y[:50]), (x[50:], y[50:])]
    model.zero_grad()
    total: list[Any] = [0] * len(weights)
    for a, b in halves:
        g = torch.autograd.grad(F.cross_entropy(model(a) / 200, b), weights)
        total = [t + own for t, own in zip(total, g, strict=True)]
    for a, b in halves:
        g = torch.autograd.grad(F.cross_entropy(model(a) / 200, b), weights, create_graph=True)
        product = sum((t * own).sum() for t, own in zip(total, g, strict=True))
        product.backward()  # type: ignore[union-attr]
    return [w.detach() * w.grad for w in weights]  # type: ignore[operator]


def side(what: str, model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], object]:
    """What is timed, as a function without arguments."""
    if what == "plain":
        return lambda: plain(model, x, y)
    if what == "usual grasp":
        return lambda: usual_grasp(model, x, y)
    return lambda: wn.score(model, what, batch=(x, y), loss_fn=F.cross_entropy)


def first_call(name: str, what: str) -> dict[str, float]:
    """Time and peak memory of the first call; to be run in a process of its own."""
    run = side(what, *network(name))
    before, seconds = _peak(), timed(run)
    return {FIRST: round(seconds, 2), "peak, MB": _peak(), "before, MB": before}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 10**6


def seconds_of(name: str, sides: list[str], turns: int) -> dict[str, list[float]]:
    """CPU seconds of each side, after one call that is not counted. Each has its own network."""
    runs = {what: side(what, *network(name)) for what in sides if what not in ONCE}
    timed = {what: here(lambda _, run=run: run()) for what, run in runs.items()}
    return in_turns(timed, turns, turn=0, warm=1)


def timed(run: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    began = time.process_time()
    run()
    return time.process_time() - began


def first_calls(name: str, sides: list[str]) -> dict[str, Any]:
    """Each side in a process of its own. A child inherits the peak of its parent, so these run
    before the parent has worked itself."""
    rows = {}
    for what in sides:
        rows[what] = json.loads(alone(__file__, "--alone", name, what))
    return rows


def with_times(
    rows: dict[str, Any], times: dict[str, list[float]]
) -> dict[str, dict[str, float | None]]:
    """The rows with the median times, and their ratio to the plain pass."""
    usual = {what: statistics.median(times.get(what, [row[FIRST]])) for what, row in rows.items()}
    return {
        what: {
            "s": round(usual[what], 3),
            "passes": round(usual[what] / usual["plain"], 3),
            "goal, passes": GOALS.get(what),
            **row,
        }
        for what, row in rows.items()
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    add_turns(parser)
    parser.add_argument("--networks", nargs="+", default=list(WIDTHS), choices=list(WIDTHS))
    known = [name for name in CRITERIA if name in GOALS or name in ONCE]
    parser.add_argument("--criteria", nargs="+", default=known, choices=list(CRITERIA))
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    asked = parse(parser, argv, SMOKE)
    torch.set_num_threads(1)
    if asked.alone:
        print(json.dumps(first_call(*asked.alone)))
        return
    sides = [*PEERS, *asked.criteria]
    rows = {name: first_calls(name, sides) for name in asked.networks}
    for name, own in rows.items():
        rows[name] = with_times(own, seconds_of(name, sides, asked.turns))
    answer = {
        "unit": "CPU seconds of one thread; passes = times a plain forward and backward pass",
        "how": HOW,
        "machine": machine(),
        "turns": asked.turns,
        **rows,
    }
    print(json.dumps(answer, indent=1))
    keep(answer, RESULTS, asked)


if __name__ == "__main__":
    main()
