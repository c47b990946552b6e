"""Claim: one iteration of a mask search costs at most 1.15 steps of dense training.
Peer: dense training of the same network, in the same run and in turns.

    python bench/search.py [--turns 9] [--batch 256] [--networks resnet-32 lenet-300-100]
                           [--smoke]

ResNet-32 of double width on random images of CIFAR-10's shape, batch 256, and LeNet-300-100 on
MNIST's, batch 60; one thread; SGD with momentum on both sides, so that they differ in the search
alone. Dense training and the searches take turns in one run, in CPU seconds, as machines are
shared, with cold caches; the numbers are medians over the turns of the ratio to the dense side's
turn. The jackpot searches at density 0.1, edge-popup at 0.5, with data and checks for divergence
included. Peak memory (resident, with torch) is of two iterations of one side in a process of its
own. Writes bench/results/search.json.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from script import add_turns, alone, arguments, keep, parse
from turns import HOW, Repeat, here, in_turns

from winnow import models
from winnow.algorithms.search import make_search
from winnow.algorithms.search.driven import start_search
from winnow.bench.compare import Work, usual_data, work_job
from winnow.data.facts import facts
from winnow.engine.base import Job
from winnow.engine.dense import DenseEngine
from winnow.engine.measure import random_state
from winnow.engine.turns import machine, one_thread, steps_of

RESULTS = Path(__file__).parent / "results" / "search.json"
SMOKE = {"turns": 1, "networks": ["lenet-300-100"], "searches": ["jackpot"]}
SEARCHES: dict[str, dict[str, Any]] = {
    "jackpot": {"density": 0.1},
    "edge-popup": {"density": 0.5},
    "supermask": {},
}
GOAL = 1.15
BATCHES = {"resnet-32": 256, "lenet-300-100": 60}


def job_of(network: str, batch: int) -> Job:
    """Dense training of a network; ResNet-32 in double width."""
    job = work_job(Work(network, usual_data(network), batch, "momentum"))
    if network != "resnet-32":
        return job
    about = facts(usual_data(network))
    build = functools.partial(
        models.build, network, inputs=about.shape, classes=about.classes, width=2.0
    )
    return replace(job, build=build)


def sides_of(network: str, batch: int, names: Iterable[str]) -> dict[str, Repeat]:
    """What is timed: a side's name -> what advances it by so many iterations."""
    job, engine = job_of(network, batch), DenseEngine("cpu")
    searching = replace(job, optimizer={**job.optimizer, "lr": 0.1})  # no weight can diverge
    dense = random_state(job, {}, 1.0)

    def side(name: str) -> Repeat:
        if name == "dense":
            return steps_of(engine, job, dense)
        return steps_of(
            engine, *start_search(make_search(name, **SEARCHES[name]), searching, dense, seed=0)
        )

    return {name: side(name) for name in names}


def peak(network: str, batch: int, name: str) -> int:
    """Peak memory in MB after two iterations; to be run in a process of its own."""
    sides_of(network, batch, [name])[name](2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 10**6


def peaks(network: str, batch: int, names: Iterable[str]) -> dict[str, int]:
    """Each side's peak memory. A child inherits the peak of its parent, so these run before the
    parent has worked itself."""
    asked = ("--batch", str(batch), "--alone", network)
    return {name: int(alone(__file__, *asked, name)) for name in names}


def measured(
    network: str, batch: int, turns: int, names: Iterable[str]
) -> dict[str, dict[str, float]]:
    """CPU milliseconds an iteration, and the ratio to dense training, by side."""
    sides = sides_of(network, batch, names)
    times = in_turns({name: here(side) for name, side in sides.items()}, turns)
    first = times["dense"]
    return {
        name: {
            "ms": round(1e3 * statistics.median(own), 3),
            "dense steps": round(
                statistics.median(a / b for a, b in zip(own, first, strict=True)), 3
            ),
            "turns": len(own),
        }
        for name, own in times.items()
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    add_turns(parser)
    parser.add_argument("--batch", type=int, help="default 256 for ResNet-32, 60 for LeNet")
    parser.add_argument("--networks", nargs="+", default=list(BATCHES), choices=list(BATCHES))
    parser.add_argument("--searches", nargs="+", default=list(SEARCHES), choices=list(SEARCHES))
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    asked = parse(parser, argv, SMOKE)
    with one_thread():
        if asked.alone:
            network, name = asked.alone
            print(peak(network, asked.batch, name))
            return
        batches = {name: asked.batch or BATCHES[name] for name in asked.networks}
        names = ["dense", *asked.searches]
        memory = {name: peaks(name, batch, names) for name, batch in batches.items()}
        rows = {name: measured(name, batch, asked.turns, names) for name, batch in batches.items()}
    answer = {
        "unit": "CPU milliseconds of one thread an iteration",
        "how": HOW,
        "goal, dense steps": GOAL,
        "machine": machine(),
        **{
            name: {"batch": batches[name]}
            | {side: row | {"peak, MB": memory[name][side]} for side, row in own.items()}
            for name, own in rows.items()
        },
    }
    print(json.dumps(answer, indent=1))
    keep(answer, RESULTS, asked)


if __name__ == "__main__":
    main()
