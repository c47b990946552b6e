"""Claim: from a warm pip install to the first step of lth/digits takes 15 s or less on two cores.
Peer: the same with kernels that are there; kernels of graphs compiled by one process, in turns.

    python bench/first_run.py [--turns 3] [--smoke]

The first run of all on a machine: an interpreter starts, the recipe is read, kernels for chains of
linear layers are compiled into an empty cache, a worker starts and makes its first report of
training. Seconds on the wall until then, and the processor's of all processes: on a shared machine
the least of the walls means most. Also all kernels for other networks, which compile in as many
processes as there are cores; those for chains are too few for that.
Writes bench/results/first_run.json.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from script import arguments, keep, parse

RESULTS = Path(__file__).parent / "results" / "first_run.json"
EMPTY, THERE = "nothing compiled", "kernels there"
TOGETHER, ALONE = "graph kernels, all cores", "graph kernels, one process"
SMOKE = {"turns": 1, "sides": (THERE,)}


def graph_kernels(side: str) -> None:
    """Compile the kernels of all networks but chains."""
    from winnow.engine.sparse_cpu.kernels.groups import prepare_graph_kernels
    from winnow.kernels import together

    if side == ALONE:
        together.cores = lambda: 1
    prepare_graph_kernels()


def first_step(store: str) -> None:
    """Run lth/digits in this process, and leave at its first report of training."""
    from winnow.data import load_images
    from winnow.experiment.plan.plan import expand
    from winnow.experiment.recipe.load import load_recipe
    from winnow.experiment.store.images import Source
    from winnow.experiment.store.store import Store
    from winnow.experiment.train.executor import Event, Settings, execute

    class FirstStepError(Exception):
        pass

    def told(event: Event) -> None:
        if event.kind in ("step", "done"):
            raise FirstStepError

    recipe = load_recipe("lth/digits", [], 1)
    plan = expand("lth/digits", recipe, Source(1437, load_images("digits").content))
    try:
        execute(plan, Store(Path(store)).open(), Settings(jobs=1), told)
    except FirstStepError:
        return
    raise AssertionError("it ended without a report")


def seconds_of(side: str) -> tuple[float, float]:
    """Seconds until the first step on the wall, and of the processor, in an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        own = {} if side == THERE else {"WINNOW_CACHE": folder}
        used, began = _children(), time.perf_counter()
        command = [sys.executable, __file__, "--store", f"{folder}/runs", "--side", side]
        subprocess.run(command, env={**os.environ, **own}, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began, _children() - used


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(argv: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--store", help="of one measurement, in a process of its own")
    parser.add_argument("--side", default="", help="of one measurement")
    parser.set_defaults(sides=(EMPTY, THERE, TOGETHER, ALONE))
    asked = parse(parser, argv, SMOKE)
    if asked.store:
        if asked.side in (TOGETHER, ALONE):
            graph_kernels(asked.side)
        else:
            first_step(asked.store)
        return
    from winnow.engine.turns import machine

    seconds_of(THERE)  # files and kernels that it needs are there from now on
    times = {side: [] for side in asked.sides}
    for _ in range(asked.turns):
        for side in asked.sides:
            times[side].append(seconds_of(side))
    answer = {
        "unit": "seconds to the first training step of lth/digits, or to all kernels (median)",
        "machine": machine(),
        "turns": asked.turns,
        **{
            side: {
                "wall": round(statistics.median(wall for wall, _ in made), 2),
                "processor": round(statistics.median(used for _, used in made), 2),
                "walls": [round(wall, 2) for wall, _ in made],
            }
            for side, made in times.items()
        },
    }
    keep(answer, RESULTS, asked)
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
