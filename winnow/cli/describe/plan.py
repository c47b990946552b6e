"""A plan in words: arms, what is done, the time that is left, single runs if wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from winnow.cli.progress import in_words
from winnow.experiment.plan.plan import Plan
from winnow.experiment.plan.replicate import with_between
from winnow.experiment.store.store import Store
from winnow.experiment.train.choosing import in_one_line, known
from winnow.experiment.train.estimate import Pace, iterations_of, pace_of, seconds_left
from winnow.experiment.train.executor import status_of
from winnow.report import wording


def describe_plan(
    plan: Plan, store: Store, jobs: int, note: str | None, runs: bool = False
) -> Iterator[str]:
    """The cost of each arm of a plan, what is done, the time left; with ``runs`` every run.

    ``note``: why nothing can be recognised as done (the data is not here), or None.
    """
    status = status_of(plan, store) if note is None else dict.fromkeys(plan.runs, "missing")
    yield from _arms(plan, status)
    if len(list(with_between(plan.nodes))) > len(plan.runs):
        yield "a run that several arms share counts for the first of them"
    yield ""
    if runs:
        yield from _runs(plan, status)
        yield ""
    done = sum(s != "missing" for s in status.values())
    total = iterations_of(list(plan.runs.values()))
    yield f"{len(status)} runs, {total} iterations; {done} runs done, {len(status) - done} missing"
    yield from _time(plan, store, status, jobs)
    if note:
        yield f"note: {note}"


def _time(plan: Plan, store: Store, status: Mapping[str, str], jobs: int) -> Iterator[str]:
    """The pace, the engines, the time left."""
    if "missing" not in status.values():
        if plan.recipe.engine == "auto":
            yield in_one_line(plan, store, known(plan, store))
        yield "time left: none, everything is done"
        return
    pace = pace_of(plan, store)
    yield _pace(plan, pace, status)
    if pace.chosen:
        yield pace.chosen
    if pace.bound:
        yield f"note: {pace.bound}"
    left = in_words(seconds_left(plan, status, pace.seconds, jobs))
    yield f"time left: {'at most' if pace.bound else 'about'} {left} with --jobs {jobs}"


def _pace(plan: Plan, pace: Pace, status: Mapping[str, str]) -> str:
    """What an iteration takes at the largest and at the smallest density that are missing."""
    missing = [node for node in with_between(plan.nodes) if status[node.run.id] == "missing"]
    ends = [choose(missing, key=lambda node: node.density_total) for choose in (max, min)]
    (engine, first), (other, last) = (
        (pace.engines[node.run.id], f"{_milliseconds(pace.seconds[node.run.id])} ms")
        for node in ends
    )
    largest, smallest = (f"{wording.percent(node.density_total)} %" for node in ends)
    if (engine, first) == (other, last):
        return f"pace: {engine}, {first} an iteration; {pace.basis}"
    line = f"pace: {engine}, {first} an iteration at {largest} of the weights"
    if smallest != largest:
        line += f", {last} at {smallest}" if other == engine else f"; {other}, {last} at {smallest}"
    return f"{line}; {pace.basis}"


def _milliseconds(seconds: float) -> str:
    value = 1e3 * seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _runs(plan: Plan, status: Mapping[str, str]) -> Iterator[str]:
    width = max(len(node.run.folder) for node in plan.nodes)
    arms = max(len(node.arm) for node in plan.nodes)
    yield f"{'run':<{width}}  {'arm':<{arms}}  replicate  draw  round  density %  total %  state"
    for n in with_between(plan.nodes):
        place = f"{n.run.folder:<{width}}  {n.arm:<{arms}}  {n.replicate:>9}  {n.draw:>4}"
        density = f"{100 * n.density:>9.3f}  {100 * n.density_total:>7.3f}"
        yield f"{place}  {n.round:>5}  {density}  {status[n.run.id]}"


def _arms(plan: Plan, status: Mapping[str, str]) -> Iterator[str]:
    """The cost of each arm: a run that several arms share counts for the first."""
    counted: set[str] = set()
    width = max(map(len, plan.arm_names))
    yield f"{'arm':<{width}}    runs  missing  iterations  share %"
    total = iterations_of(list(plan.runs.values()))
    for arm in plan.arm_names:
        own = {n.run.id for n in with_between(plan.nodes) if n.arm == arm} - counted
        counted |= own
        cost = iterations_of([plan.runs[i] for i in own])
        missing = Counter(status[i] for i in own)["missing"]
        share = 100 * cost / total
        yield f"{arm:<{width}}  {len(own):>6}  {missing:>7}  {cost:>10}  {share:>7.1f}"
