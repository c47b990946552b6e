"""A plan in words: arms, what is done, the time that is left, single runs if wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from winnow.cli.progress import in_words
from winnow.experiment.plan.plan import Plan, Planned
from winnow.experiment.plan.replicate import Node, with_between
from winnow.experiment.store.store import Store
from winnow.experiment.train.choosing import in_one_line, known
from winnow.experiment.train.estimate import (
    Pace,
    iterations_of,
    look_at_both,
    look_at_dense,
    pace_of,
    remembered,
    seconds_left,
    why_no_pace,
)
from winnow.experiment.train.status import plan_status
from winnow.report import wording


def describe_plan(
    planned: Planned, store: Store, jobs: int, note: str | None, runs: bool = False
) -> Iterator[str]:
    """The cost of each arm of a plan, what is done, the time left; with ``runs`` every run.

    ``note``: why nothing can be recognised as done (the data is not here), or None.
    """
    found = plan_status(planned, store) if note is None else None
    status = found.runs if found else dict.fromkeys(planned.runs, "missing")
    again = found.again if found else {}
    yield from _arms(planned, status)
    if len(list(with_between(planned.nodes))) > len(planned.runs):
        yield "a run that several arms share counts for the first of them"
    yield ""
    if runs:
        yield from _runs(planned, status)
        yield ""
    done = sum(s != "missing" for s in status.values())
    total = iterations_of(list(planned.runs.values()))
    yield f"{len(status)} runs, {total} iterations; {done} runs done, {len(status) - done} missing"
    if again:
        of = wording.plural(len(again), "finished run")
        yield f"of the missing, {of} only record more: {sum(again.values())} iterations again"
    yield from _time(planned, store, status, jobs, again)
    if note:
        yield f"note: {note}"


def _time(
    planned: Planned,
    store: Store,
    status: Mapping[str, str],
    jobs: int,
    again: Mapping[str, int],
) -> Iterator[str]:
    """The pace, the engines, the time left; of each line that has something to train."""
    if "missing" not in status.values():
        for plan in planned.plans[:1]:
            if plan.recipe.engine == "auto":
                yield in_one_line(plan, store, known(plan, store))
        yield "time left: none, everything is done"
        return
    each: dict[str, float] = {}
    bound, both, dense = False, remembered(look_at_both), remembered(look_at_dense)
    unknown: dict[str, list[str]] = {}
    for plan in planned.plans:
        if all(status[i] != "missing" or i in each for i in plan.runs):
            continue
        if reason := why_no_pace(plan):
            unknown.setdefault(reason, []).append(plan.line)
            continue
        pace = pace_of(plan, store, both, dense)
        each = {**pace.seconds, **each}
        bound = bound or pace.bound is not None
        yield from _said(plan, pace, status)
    if unknown:
        for reason, lines in unknown.items():
            others = f" and {len(lines) - 1} other lines" if len(lines) > 2 else ""
            named = f"{lines[0]}{others}" if others else " and ".join(lines)
            yield f"{named + ': ' if named else ''}pace: not known: {reason}"
        yield "time left: not known"
        return
    each = {identity: each.get(identity, 0.0) for identity in planned.runs}  # 0 for what is done
    left = in_words(seconds_left(planned, status, each, jobs, again))
    yield f"time left: {'at most' if bound else 'about'} {left} with --jobs {jobs}"


def _said(plan: Plan, pace: Pace, status: Mapping[str, str]) -> Iterator[str]:
    """The pace of a line, and what it rests on."""
    before = f"{plan.line}: " if plan.line else ""
    yield before + _pace(plan, pace, status)
    if pace.chosen:
        yield before + pace.chosen
    if pace.bound:
        yield f"{before}note: {pace.bound}"


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


def _runs(planned: Planned, status: Mapping[str, str]) -> Iterator[str]:
    width = max(len(node.run.folder) for node in planned.nodes)
    arms = max(len(_arm(node)) for node in planned.nodes)
    yield f"{'run':<{width}}  {'arm':<{arms}}  replicate  draw  round  density %  total %  state"
    for n in with_between(planned.nodes):
        place = f"{n.run.folder:<{width}}  {_arm(n):<{arms}}  {n.replicate:>9}  {n.draw:>4}"
        density = f"{100 * n.density:>9.3f}  {100 * n.density_total:>7.3f}"
        yield f"{place}  {n.round:>5}  {density}  {status[n.run.id]}"


def _arm(node: Node) -> str:
    """The arm of a point, with its line if there are any."""
    return f"{node.line}: {node.arm}" if node.line else node.arm


def _arms(planned: Planned, status: Mapping[str, str]) -> Iterator[str]:
    """The cost of each arm of each line: a run that several share counts for the first."""
    counted: set[str] = set()
    members: dict[str, list[str]] = {}
    for plan in planned.plans:
        for arm in plan.arm_names:
            for node in with_between(plan.nodes):
                if node.arm == arm:
                    members.setdefault(_arm(node), []).append(node.run.id)
    width = max(map(len, members))
    yield f"{'arm':<{width}}    runs  missing  iterations  share %"
    total = iterations_of(list(planned.runs.values()))
    for name, runs in members.items():
        own = set(runs) - counted
        counted |= own
        cost = iterations_of([planned.runs[i] for i in own])
        missing = Counter(status[i] for i in own)["missing"]
        share = 100 * cost / total
        yield f"{name:<{width}}  {len(own):>6}  {missing:>7}  {cost:>10}  {share:>7.1f}"
