"""Timing rivals in turns, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping

import torch

from winnow.engine.base import Engine, Job
from winnow.state import State

Repeat = Callable[[int], object]
"""Does a side's work so many times."""

Clock = Callable[[], float]
"""Seconds since some moment."""


def in_turns(
    sides: Mapping[str, Repeat],
    seconds: float,
    turn: float = 0.03,
    least: int = 2,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds for one repetition of each side, one value for each turn.

    A side's turn lasts about ``turn`` seconds and at least one repetition; turns go on for
    ``seconds``, and there are at least ``least``. Each side is warmed up first. ``clock``:
    ``time.process_time`` where the machine is shared and a side keeps to this process.
    """
    counts = {name: _repetitions(repeat, turn, clock) for name, repeat in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    end, made = time.perf_counter() + seconds, 0
    while made < least or time.perf_counter() < end:
        for name, repeat in sides.items():
            times[name].append(seconds_for(repeat, counts[name], clock))
        made += 1
    return times


def _repetitions(repeat: Repeat, turn: float, clock: Clock) -> int:
    """How many repetitions fill a turn."""
    repeat(1)  # allocations and first calls
    count = 1
    while (each := seconds_for(repeat, count, clock)) * count < turn / 4:
        count *= 4
    return max(1, round(turn / each))


def seconds_for(repeat: Repeat, count: int, clock: Clock) -> float:
    """Seconds for one of ``count`` repetitions."""
    began = clock()
    repeat(count)
    return max(clock() - began, 1e-9) / count


def steps_of(engine: Engine, job: Job, state: State) -> Repeat:
    """Trains so many further iterations of a job with an engine."""
    session, reached = engine.open(job, state), state.step

    def advance(count: int) -> None:
        nonlocal reached
        reached += count
        stats = session.advance(reached)
        assert stats.diverged_at is None, "what is timed must not end early"

    return advance


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread, as workers train; afterwards as many as before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def machine() -> dict[str, str | int | None]:
    """What times hold for: the processor, and what runs on it."""
    import llvmlite.binding
    import numba

    from winnow.kernels.simd import W

    return {
        "processor": llvmlite.binding.get_host_cpu_name(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "float32 lanes": W,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numba": numba.__version__,
        "threads": 1,
    }
