"""Claim: one run on several cores gains from each, and stays ahead of dense torch on as many.
Peer: torch, the faster of eager and whole step compiled (channels-last), with at most as many.

    python bench/threads.py [--network resnet-20 ...] [--density 1 0.1] [--threads 1 2 4 8 16]
                            [--turns 9] [--smoke]

Milliseconds of the clock for a whole training step of one run, data included, by threads: speed-up
needs the clock, so nothing else should use the machine. ResNet-20, batch 128, and VGG-19, batch 64,
with momentum on random images of CIFAR-10's shape; LeNet-300-100, batch 60, with Adam on MNIST's
(torch: eager). Winnow's sparse engine at two densities; torch dense, without masks. All sides in
turns in one run, with cold caches; medians, and the least beside them. As many threads as this
machine has cores at most. Writes bench/results/threads.json, replacing the rows of the networks
measured on this family of processors.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from network_density import engine_steps, torch_steps
from script import add_turns, arguments, keep, kept, parse
from turns import Repeat, Timed, here, in_turns

from winnow.bench.compare import Work, work_job
from winnow.bench.sides import Eager
from winnow.engine.base import Job
from winnow.engine.measure import random_state
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.turns import machine, steps_of

NETWORKS = {"lenet-300-100": 60, "resnet-20": 128, "vgg-19": 64}
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
HOW = "time of the clock, medians of alternating turns, caches emptied before each"
RESULTS = Path(__file__).parent / "results" / "threads.json"
SMOKE = {"turns": 1, "network": ["lenet-300-100"], "density": [0.1], "threads": [1, 2]}

Key = tuple[str, float, int]
"""Side, density, threads."""


def counts_here(asked: Sequence[int]) -> list[int]:
    """The numbers of threads that this machine and the sparse engine have."""
    if "threads" not in inspect.signature(SparseEngine).parameters:
        print("the sparse engine has one thread: only that is measured", file=sys.stderr)
        return [1]
    return sorted({count for count in asked if count <= CORES} | {1})


def sparse_steps(name: str, density: float, threads: int) -> Repeat:
    """Steps of the sparse engine, which has its threads while torch has one."""
    engine = SparseEngine(**({"threads": threads} if threads > 1 else {}))
    if name != "lenet-300-100":
        return engine_steps(engine, name, density)
    job = _lenet_job()
    return steps_of(engine, job, random_state(job, {}, density))


def dense_steps(name: str, threads: int) -> dict[str, Repeat]:
    """Steps of torch; compiled code is made for a number of threads."""
    if name == "lenet-300-100":
        job = _lenet_job()
        return {"eager": Eager(job).begin(random_state(job, {}, 1.0))}
    with torch._inductor.config.patch({"cpp.threads": threads}):
        return {how: torch_steps(name, how, torch.channels_last) for how in ("eager", "compiled")}


@functools.cache
def _lenet_job() -> Job:
    return work_job(Work("lenet-300-100", "mnist", NETWORKS["lenet-300-100"], "adam"))


def with_threads(threads: int, timed: Timed) -> Timed:
    """Torch has so many threads in this side's turns."""

    def turn(count: int) -> float:
        torch.set_num_threads(threads)
        try:
            return timed(count)
        finally:
            torch.set_num_threads(1)

    return turn


def measured(
    name: str, densities: Sequence[float], threads: Sequence[int], turns: int
) -> list[dict[str, object]]:
    """The rows of a network: one for each density and number of threads."""
    sides: dict[Key, Timed] = {}
    for count in threads:
        for how, repeat in dense_steps(name, count).items():
            sides[how, 1.0, count] = with_threads(count, here(repeat, time.perf_counter))
        for density in densities:
            steps = sparse_steps(name, density, count)
            sides["sparse", density, count] = here(steps, time.perf_counter)
    times = in_turns(sides, turns)
    return [
        {"network": name, "batch": NETWORKS[name]} | row(times, density, count) | {"turns": turns}
        for density in densities
        for count in threads
    ]


def row(times: Mapping[Key, Sequence[float]], density: float, count: int) -> dict[str, object]:
    """Milliseconds of all sides with so many threads; torch takes fewer where that is faster."""
    medians = {key: 1e3 * statistics.median(of) for key, of in times.items()}
    rivals = {key: ms for key, ms in medians.items() if key[0] != "sparse" and key[2] <= count}
    ours, best = medians["sparse", density, count], min(rivals, key=lambda key: rivals[key])
    same = {how: ms for (how, _, n), ms in rivals.items() if n == count}
    alone = min(ms for (_, _, n), ms in rivals.items() if n == 1)
    return {
        "density": density,
        "threads": count,
        "ms": {side: round(ms, 3) for side, ms in ({"sparse": ours} | same).items()},
        "least ms": round(1e3 * min(times["sparse", density, count]), 3),
        "speed-up": round(medians["sparse", density, 1] / ours, 2),
        "speed-up of torch": round(alone / rivals[best], 2),
        "best dense": best[0],
        "its threads": best[2],
        "best dense / sparse": round(rivals[best] / ours, 2),
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    parser.add_argument("--network", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--density", type=float, nargs="+", default=[1, 0.1])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    add_turns(parser)
    asked = parse(parser, argv, SMOKE)
    torch.set_num_threads(1)
    threads = counts_here(asked.threads)
    rows = [row for row in kept(RESULTS).get("rows", []) if row["network"] not in asked.network]
    for name in asked.network:
        print(f"{name}: compiling and measuring", file=sys.stderr, flush=True)
        for row in measured(name, asked.density, threads, asked.turns):
            rows.append(row)
            print(json.dumps(row), flush=True)
        answer = {"how": HOW, "machine": machine(), "cores": CORES, "rows": rows}
        keep(answer, RESULTS, asked)


if __name__ == "__main__":
    main()
