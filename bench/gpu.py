"""Claim: on a GPU five ResNet-20 take 5 minutes for 30,000 iterations, LeNet's figure 4 takes 10.
Peer: the dense engine, eager torch, on the same GPU; for correctness the dense engine on the CPU.

    python bench/gpu.py [--minutes 9] [--pieces conformance resnet-20 figure-4 costs] [--out DIR]
                        [--smoke]

One call, on a machine with an NVIDIA GPU, that ends after 9 minutes and writes
bench/results/gpu-NAME.json (or into DIR) after each piece, NAME being the GPU's. `conformance`:
all engines on the device against the CPU. `resnet-20`: five replicates in lanes, as recorded and
as compiled. `figure-4`: stacks as wide as those of the recipe lth/4. `costs`: a step of each
engine, and what deterministic kernels, TF32 and bf16 cost or save. What does not fit is measured
for a part of its iterations and extrapolated, and says so ("measured iterations" of "iterations").
Evaluation on the recipes' grids is included, reports and files are not. Without a GPU only --smoke
runs, on the CPU.
"""

from __future__ import annotations

import json
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from gpu_checks import conformance, host_waits, repeatable
from gpu_jobs import lenet_job, resnet_job, start
from script import arguments, keep, parse

from winnow.engine.base import Engine, Job, Session
from winnow.engine.compiled import CompiledEngine
from winnow.engine.dense import DenseEngine
from winnow.engine.stacked import StackedEngine
from winnow.engine.turns import in_turns, steps_of

SHARES = {"conformance": 0.15, "resnet-20": 0.4, "figure-4": 0.3, "costs": 0.15}
RESULTS = Path(__file__).parent / "results"
SMOKE = {"minutes": 0.02}
FIGURE = {30: 29, 63: 12}
"""Width of a stack → how many of them one after the other: the 1,605 runs of lth/4, of which five
replicates' tickets, three reinitialised and two random ones of each make up a round."""
MOST = 2000  # iterations in one stretch


class Place:
    """Where the bench runs, and how small."""

    def __init__(self, device: torch.device, smoke: bool) -> None:
        self.device, self.smoke = device, smoke
        self.backend = None if smoke else "inductor"

    def stacked(self, form: Any, backend: str | None) -> StackedEngine:
        """Networks together in a form."""
        return StackedEngine(self.device, form, backend)


def stretch(
    engine: StackedEngine,
    jobs: Mapping[int, Job],
    every: int,
    splits: Sequence[str],
    end: float,
) -> dict[str, Any]:
    """Trains jobs together, evaluated every so many iterations, until they or the time end.

    The first iterations, in which steps are compiled and recorded, count by themselves.
    """
    began = time.perf_counter()
    states = {place: start(job, 0.2) for place, job in jobs.items()}
    sessions = engine.open_many(jobs, states, len(jobs))
    _go(sessions, every, splits)
    beginning, step, iterations = time.perf_counter() - began, every, jobs[0].steps
    times = []
    while step < iterations and (time.perf_counter() < end or not times):
        before = time.perf_counter()
        step += every
        _go(sessions, step, splits)
        times.append(time.perf_counter() - before)
    each = statistics.median(times) / every
    return {
        "networks": len(jobs),
        "iterations": iterations,
        "measured iterations": step,
        "milliseconds an iteration of all": round(each * 1e3, 4),
        "seconds to begin": round(beginning, 2),
        "minutes": round((beginning + each * (iterations - every)) / 60, 3),
        "extrapolated": step < iterations,
        "notes": list(engine.notes),
    }


def _go(sessions: Mapping[int, Session], to: int, splits: Sequence[str]) -> None:
    for session in sessions.values():
        assert session.advance(to).diverged_at is None, "what is timed must not end early"
    for split in splits:
        for session in sessions.values():
            session.evaluate(split)


def resnets(place: Place, end: float) -> dict[str, Any]:
    """Five replicates of ResNet-20, in lanes."""
    jobs = {seed: resnet_job(seed, place.smoke) for seed in range(5)}
    every = 4 if place.smoke else 1000
    found = {}
    for name, backend in {"recorded": None, "compiled": place.backend}.items():
        now = time.perf_counter()
        until = now + (end - now) * 0.25 if name == "recorded" else end
        engine = place.stacked("lanes", backend)
        found[name] = stretch(engine, jobs, every, ["validation"], until)
    return {"goal in minutes": 5, **found}


def figure(place: Place, end: float) -> dict[str, Any]:
    """LeNet's figure 4: stacks one after the other, each width measured."""
    every = 4 if place.smoke else 100
    found: dict[str, Any] = {}
    for left, (width, count) in zip((2, 1), FIGURE.items(), strict=True):
        now = time.perf_counter()
        networks = 3 if place.smoke else width
        jobs = {seed: lenet_job(seed % 5, place.smoke) for seed in range(networks)}
        engine = place.stacked("rows", place.backend)
        splits = ["validation", "test"]
        row = stretch(engine, jobs, every, splits, now + (end - now) / left)
        found[f"{count} stacks of {width}"] = row
    rows = zip(FIGURE.values(), found.values(), strict=True)
    minutes = round(sum(count * row["minutes"] for count, row in rows), 2)
    return {"goal in minutes": 10, "minutes (extrapolated)": minutes, **found}


def costs(place: Place, end: float) -> dict[str, Any]:
    """Milliseconds a step of each engine, in turns, and how exact and how free of waiting it is."""
    device = place.device
    engines: dict[str, Callable[[], Engine]] = {
        "dense": lambda: DenseEngine(device),
        "dense, not deterministic": lambda: DenseEngine(device, deterministic=False),
        "recorded": lambda: _recorded(device),
        "recorded, not deterministic": lambda: _recorded(device, deterministic=False),
        "recorded, tf32": lambda: _recorded(device, tf32=True),
        "recorded, bf16": lambda: _recorded(device, bf16=True),
    }
    found: dict[str, Any] = {}
    for left, make in zip((2, 1), (lenet_job, resnet_job), strict=True):
        job = make(0, place.smoke)
        made = {name: engine() for name, engine in engines.items()}
        sides = {name: steps_of(engine, job, start(job, 0.2)) for name, engine in made.items()}
        seconds = max(0.0, (end - time.perf_counter()) / left / 2)
        times = in_turns(sides, seconds, turn=0.0 if place.smoke else 0.1)
        rows: dict[str, Any] = {n: round(statistics.median(t) * 1e3, 4) for n, t in times.items()}
        rows["the same bits twice"] = {
            name: repeatable(made[name], make(0, small=True)) for name in ("dense", "recorded")
        }
        if device.type == "cuda":
            rows["waits of the host in a step"] = {
                name: host_waits(made[name].open(job, start(job, 0.2)), 100)
                for name in ("dense", "recorded")
            }
        found[make.__name__.removesuffix("_job")] = rows
    return {"unit": "milliseconds a step (median)", **found}


def _recorded(device: torch.device, **options: Any) -> CompiledEngine:
    return CompiledEngine(device, backend=None, recorded=True, **options)


def checks(place: Place, end: float) -> Any:
    """Conformance, as much as there is time for."""
    in_time = lambda: place.smoke or time.perf_counter() < end  # noqa: E731
    return conformance(place.device, not place.smoke, in_time)


PIECES: dict[str, Callable[[Place, float], Any]] = {
    "conformance": checks,
    "resnet-20": resnets,
    "figure-4": figure,
    "costs": costs,
}


def here(device: torch.device) -> dict[str, Any]:
    """What the numbers hold for."""
    known = {"python": platform.python_version(), "torch": str(torch.__version__)}
    if device.type != "cuda":
        return {"gpu": None, **known}
    about = torch.cuda.get_device_properties(device)
    return {
        "gpu": about.name,
        "memory in GiB": round(about.total_memory / 2**30, 1),
        "compute capability": f"{about.major}.{about.minor}",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        **known,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--pieces", nargs="+", default=list(PIECES), choices=list(PIECES))
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the results")
    asked = parse(parser, argv, SMOKE)
    gpu = torch.cuda.is_available()
    if not gpu and not asked.smoke:
        print("no GPU here, so nothing is measured: --smoke tries the script", file=sys.stderr)
        return 1
    place = Place(torch.device("cuda" if gpu else "cpu"), asked.smoke)
    answer: dict[str, Any] = {"machine": here(place.device), "density": 0.2}
    slug = re.sub(r"[^a-z0-9]+", "-", str(answer["machine"]["gpu"]).lower()).strip("-")
    shares = sum(SHARES[piece] for piece in asked.pieces)
    end = time.perf_counter()
    for piece in asked.pieces:
        end += asked.minutes * 60 * SHARES[piece] / shares  # what one leaves over the next may use
        answer[piece] = _or_why_not(PIECES[piece], place, end)
        keep(answer, asked.out / f"gpu-{slug}.json", asked)
    if not gpu:
        print("no GPU here: streams, graphs and waits were left out", file=sys.stderr)
    print(json.dumps(answer, indent=1))
    return 0


def _or_why_not(piece: Callable[[Place, float], Any], place: Place, end: float) -> Any:
    """What a piece measures; on a GPU, where it fails, why: the others shall still be measured."""
    if place.smoke:
        return piece(place, end)
    try:
        return piece(place, end)
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    sys.exit(main())
