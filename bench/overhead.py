"""Claim: a whole `winnow run lth/digits` takes at most 0.6 times the processor time of b3de43d.
Peer: the same command of another checkout (--before), in turns.

    python bench/overhead.py [--recipe lth/digits] [--turns 3] [--jobs 2] [--before DIR]
                             [--change KEY=VALUE ...] [--cold] [--smoke]

Each turn is the command in a process of its own with an empty store: user and system time of it and
its workers, and the time on the wall; medians over the turns. Kernels and other caches are warm;
with --cold one more turn has an empty cache. Then, once, the parts of the command in one process
with one worker inside of it: seconds of the processor, each counted where it is spent and in no
other part; ``imports`` are those of one process. ``over_steps``: all of it over the steps of
training alone. Writes bench/results/overhead.json.
"""

from __future__ import annotations

import builtins
import functools
import json
import os
import pkgutil
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from script import arguments, keep, parse

HERE = Path(__file__).resolve()
FILE = HERE.parent / "results" / "overhead.json"
SMOKE = {
    "turns": 1,
    "jobs": 1,
    "change": ["train.steps=20it", "prune.rounds=1", "replicates=1", "controls={}"],
}
_SPARSE = "winnow.engine.sparse_cpu"
_SESSIONS = (
    f"{_SPARSE}.chain.session:ChainSession",
    f"{_SPARSE}.graph.session:GraphSession",
    "winnow.engine.dense:_DenseSession",
)
PARTS = {
    "steps": [f"{one}.advance" for one in _SESSIONS],
    "evaluation": [f"{one}.evaluate" for one in _SESSIONS],
    "copies": [f"{one}.{name}" for one in _SESSIONS for name in ("state", "snapshot")],
    "opening sessions": [
        f"{_SPARSE}.engine:SparseEngine.open",
        "winnow.engine.dense:DenseEngine.open",
    ],
    "starting states": ["winnow.experiment.train.tasks:starting_state"],
    "store": [
        "winnow.experiment.train.tasks:_write",
        *(f"winnow.experiment.store.store:Store.{name}" for name in ("find_named", "copies")),
    ],
    "report": ["winnow.report:write_report", "winnow.report:read_results"],
    "kernels and calibration": [
        f"{_SPARSE}.engine:SparseEngine.prepare",
        "winnow.experiment.train.executor:settle",
    ],
}
"""The parts of a command, and the functions that are them; what one calls of another counts there.
What an engine of another checkout does not have is left out."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = arguments(__doc__)
    parser.add_argument("--recipe", default="lth/digits")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--before", help="the folder of another checkout")
    parser.add_argument("--change", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--parts-of", help="(of a process of its own) the parts, in this store")
    asked = parse(parser, argv, SMOKE)
    words = ["run", asked.recipe, *(word for text in asked.change for word in ("-o", text))]
    if asked.parts_of:
        print(json.dumps(parts([*words, "--store", asked.parts_of, "--jobs", "1", "-q"])))
        return 0
    from winnow.engine.turns import machine

    jobs = ["--jobs", str(asked.jobs), "-q"]
    sides = {"now": str(HERE.parents[1])} | ({"before": asked.before} if asked.before else {})
    for place in [] if asked.smoke else sides.values():  # kernels and other caches
        _measured(place, [*words, *jobs])
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for turn in range(asked.turns):
        for name in list(sides)[:: 1 if turn % 2 else -1]:
            turns[name].append(_measured(sides[name], [*words, *jobs]))
    answer: dict[str, Any] = {"machine": machine(), "recipe": asked.recipe, "jobs": asked.jobs}
    answer |= {name: _medians(seen) for name, seen in turns.items()}
    if asked.before:
        both = [answer[name]["processor"] for name in ("now", "before")]
        answer["ratio"] = round(both[0] / both[1], 3)
    if asked.cold:
        with tempfile.TemporaryDirectory() as cache:
            answer["cold"] = _measured(sides["now"], [*words, *jobs], {"WINNOW_CACHE": cache})
    answer["parts"] = _parts_alone(asked)
    answer["over_steps"] = round(sum(answer["parts"].values()) / answer["parts"]["steps"], 2)
    keep(answer, FILE, asked)
    print(json.dumps(answer, indent=1))
    return 0


def _measured(
    place: str, words: Sequence[str], more: dict[str, str] | None = None
) -> dict[str, float]:
    """Seconds of one command of a checkout, its workers included."""
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-m", "winnow", *words, "--store", store]
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        environment = _environment(place, more)
        subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
        wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"processor": round(used, 3), "wall": round(wall, 3)}


def _environment(place: str, more: dict[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": place, "OMP_NUM_THREADS": "1", **(more or {})}


def _medians(turns: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}


def _parts_alone(asked: Any) -> dict[str, float]:
    """The parts of the command in a process of their own."""
    changes = [word for text in asked.change for word in ("--change", text)]
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, str(HERE), "--recipe", asked.recipe, *changes]
        done = subprocess.run(
            [*command, "--parts-of", store],
            env=_environment(str(HERE.parents[1])),
            check=True,
            capture_output=True,
            text=True,
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def parts(words: Sequence[str]) -> dict[str, float]:
    """Seconds of the parts of a ``winnow`` command, in this process with a worker inside of it."""
    clock = _Clock()
    clock.take("imports", builtins, "__import__", outermost=True)
    import torch

    torch.set_num_threads(1)
    for part, places in PARTS.items():
        for place in places:
            owner, _, name = place.rpartition("." if "." in place.partition(":")[2] else ":")
            clock.take(part, pkgutil.resolve_name(owner), name)
    from winnow.cli.app import run_app as command
    from winnow.experiment.train import executor

    executor.LocalPool = _Inside  # type: ignore[assignment,misc]
    sys.argv, out = ["winnow", *words], sys.stdout
    sys.stdout = sys.stderr  # what the command prints is no part of the answer
    try:
        command()
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.stdout = out
    clock.switch()
    return {name: round(clock.spent[name], 3) for name in (*PARTS, "imports", "all else")}


class _Clock:
    """Seconds of the processor by part: what a part calls of another counts there alone."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.inside = ["all else"]
        self.mark = 0.0  # what the interpreter took to begin counts too

    def switch(self) -> None:
        """Give the time since the last call to the part that is inside."""
        now = time.process_time()
        self.spent[self.inside[-1]] += now - self.mark
        self.mark = now

    def take(self, part: str, owner: Any, name: str, outermost: bool = False) -> None:
        """Count the calls of a function to a part. ``outermost``: nested ones are not looked at."""
        function: Callable[..., Any] | None = getattr(owner, name, None)
        if function is None:
            return

        @functools.wraps(function)
        def counted(*args: Any, **options: Any) -> Any:
            if outermost and self.inside[-1] == part:
                return function(*args, **options)
            self.switch()
            self.inside.append(part)
            try:
                return function(*args, **options)
            finally:
                self.switch()
                self.inside.pop()

        setattr(owner, name, counted)


class _Inside:
    """A pool of one worker inside of this process."""

    def __init__(self, store: Path, _size: int, _needed: Any = ()) -> None:
        self.store, self.answers = store, []  # type: ignore[var-annotated]

    @property
    def free(self) -> int:
        return 0 if self.answers else 1

    def start(self, task: Any) -> None:
        from winnow.experiment.store.store import Store
        from winnow.experiment.train.worker import serve

        serve(Store(self.store), task, lambda answer: self.answers.append((task, answer)))

    def next_answer(self, _seconds: float) -> Any:
        return self.answers.pop(0) if self.answers else None

    def close(self) -> None:
        """There is nothing to end."""


if __name__ == "__main__":
    sys.exit(main())
