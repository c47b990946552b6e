"""Claim: one iteration of a mask search costs at most 1.15 steps of dense training.

    python bench/search.py [--seconds 60] [--batch 256] [--networks resnet-32 lenet-300-100]

ResNet-32 of double width on random images of CIFAR-10's shape, batch 256, and LeNet-300-100 on
MNIST's, batch 60; one thread; SGD with momentum on both sides, so that they differ in the search
alone. Dense training and the searches take turns in one run; the numbers are medians over the turns
of the ratio to the dense side's turn. The jackpot searches at density 0.1, edge-popup at 0.5, with
data and checks for divergence included. Writes bench/results/search.json.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from winnow import models
from winnow.algorithms.search import make
from winnow.algorithms.search.driven import starting
from winnow.bench.compare import Work, make_job, usual_data
from winnow.data.facts import facts
from winnow.engine.base import Job
from winnow.engine.dense import DenseEngine
from winnow.engine.measure import random_state
from winnow.engine.turns import in_turns, machine, one_thread, steps_of
from winnow.files import write_whole

RESULTS = Path(__file__).parent / "results" / "search.json"
SEARCHES = {"jackpot": {"density": 0.1}, "edge-popup": {"density": 0.5}, "supermask": {}}
GOAL = 1.15
BATCHES = {"resnet-32": 256, "lenet-300-100": 60}


def job_of(network: str, batch: int) -> Job:
    """Dense training of a network; ResNet-32 in double width."""
    job = make_job(Work(network, usual_data(network), batch, "momentum"))
    if network != "resnet-32":
        return job
    about = facts(usual_data(network))
    build = functools.partial(
        models.build, network, inputs=about.shape, classes=about.classes, width=2.0
    )
    return replace(job, build=build)


def measured(network: str, batch: int, seconds: float) -> dict[str, Any]:
    """Milliseconds an iteration, and the ratio to dense training, by side."""
    job, engine = job_of(network, batch), DenseEngine("cpu")
    searching = replace(job, optimizer={**job.optimizer, "lr": 0.1})  # no weight can diverge
    dense = random_state(job, {}, 1.0)
    sides = {"dense": steps_of(engine, job, dense)}
    for name, options in SEARCHES.items():
        sides[name] = steps_of(engine, *starting(make(name, **options), searching, dense, seed=0))
    times = in_turns(sides, seconds)
    first = times["dense"]
    return {
        name: {
            "ms": round(1e3 * statistics.median(own), 3),
            "dense steps": round(
                statistics.median(a / b for a, b in zip(own, first, strict=True)), 3
            ),
        }
        for name, own in times.items()
    } | {"batch": batch, "turns": len(first)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--batch", type=int, help="default 256 for ResNet-32, 60 for LeNet")
    parser.add_argument("--networks", nargs="+", default=list(BATCHES), choices=list(BATCHES))
    asked = parser.parse_args()
    with one_thread():
        rows = {
            name: measured(name, asked.batch or BATCHES[name], asked.seconds)
            for name in asked.networks
        }
    answer = {"goal, dense steps": GOAL, "machine": machine(), **rows}
    print(json.dumps(answer, indent=1))
    write_whole(RESULTS, json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    main()
