"""Plans and stored runs in words, as plain lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from winnow.cli.progress import in_words
from winnow.data import Unreachable
from winnow.engine.auto import Auto
from winnow.experiment.plan.plan import Plan
from winnow.experiment.store.store import Store
from winnow.experiment.train.choosing import in_one_line, known
from winnow.experiment.train.estimate import iterations_of, seconds_left, seconds_per_iteration
from winnow.experiment.train.executor import status_of


def describe_plan(plan: Plan, store: Store, jobs: int, note: str | None) -> Iterator[str]:
    """The runs of a plan, the cost of each arm, what is done, the time left.

    ``note``: why nothing can be recognised as done (the data is not here), or None.
    """
    status = status_of(plan, store) if note is None else dict.fromkeys(plan.runs, "missing")
    yield from _runs(plan, status)
    yield ""
    yield from _arms(plan, status)
    if len(plan.nodes) > len(plan.runs):
        yield "a run that several arms share counts for the first of them"
    yield ""
    done = sum(s != "missing" for s in status.values())
    total = iterations_of(list(plan.runs.values()))
    yield f"{len(status)} runs, {total} iterations; {done} runs done, {len(status) - done} missing"
    auto = known(plan, store) if plan.recipe.engine == "auto" else None
    if plan.recipe.engine == "auto":
        yield in_one_line(plan, store, auto)
    if note:
        yield f"note: {note}"
    elif done == len(status):
        yield "time left: none, everything is done"
    else:
        yield _time_left(plan, store, status, jobs, auto)


def _time_left(
    plan: Plan, store: Store, status: Mapping[str, str], jobs: int, auto: Auto | None
) -> str:
    try:
        each = seconds_per_iteration(plan, store, auto)
    except Unreachable:
        return "time left: unknown, as the images are not here and no run like these is stored"
    left = seconds_left(plan, status, each, jobs)
    missing = iterations_of([plan.runs[i] for i, s in status.items() if s == "missing"])
    pace = f"{left * jobs / missing * 1e3:.2f} ms an iteration"
    return f"time left: about {in_words(left)} with --jobs {jobs} ({pace})"


def _runs(plan: Plan, status: Mapping[str, str]) -> Iterator[str]:
    width = max(len(node.run.folder) for node in plan.nodes)
    arms = max(len(node.arm) for node in plan.nodes)
    yield f"{'run':<{width}}  {'arm':<{arms}}  replicate  draw  round  density %  total %  state"
    for n in plan.nodes:
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
        own = {n.run.id for n in plan.nodes if n.arm == arm} - counted
        counted |= own
        cost = iterations_of([plan.runs[i] for i in own])
        missing = Counter(status[i] for i in own)["missing"]
        share = 100 * cost / total
        yield f"{arm:<{width}}  {len(own):>6}  {missing:>7}  {cost:>10}  {share:>7.1f}"
