"""Plans and stored runs in words, as plain lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from winnow.algorithms.catalogue import METHODS, CatalogueEntry
from winnow.cli.progress import in_words
from winnow.data import Unreachable
from winnow.engine.auto import Auto
from winnow.experiment.plan.kinds import cost_of_method, options_of_method, text_of_method
from winnow.experiment.plan.plan import Plan
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.store import Found, Store
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


def describe_run(found: Found) -> str:
    """A stored run on one line, its folder first."""
    result, run = found.result, found.run
    accuracy = result.final.get("test")
    length = f"{run.end - run.begin} it  {in_words(result.seconds)}"
    if result.status == "diverged":
        return f"{found.folder.name}  diverged at {result.diverged_at}  {length}"
    test = "" if accuracy is None else f"  test {100 * accuracy:.2f} %"
    stop = "" if result.stop_iteration is None else f"  stop {result.stop_iteration}"
    return f"{found.folder.name}  {result.status}  {length}{stop}{test}"


def describe_whole_run(found: Found) -> str:
    """Everything that is stored of a run but its curve and tensors, as JSON."""
    numbers = {k: v for k, v in asdict(found.result).items() if k != "curve"}
    whole = {
        "folder": str(found.folder),
        "id": found.run.id,
        "run": asdict(found.run),
        "record": found.record.dump(),
        "result": numbers,
        "provenance": found.provenance,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False)


def describe_difference(one: Found, other: Found) -> str:
    """Field by field, where two runs, and the recipes they were first made for, differ."""
    sides = [
        _flat({"run": asdict(found.run), "recipe": found.provenance.get("recipe", {})})
        for found in (one, other)
    ]
    names = list(dict.fromkeys([*sides[0], *sides[1]]))
    lines = [f"- {one.folder.name}", f"+ {other.folder.name}"]
    for name in names:
        values = [side.get(name, "(absent)") for side in sides]
        if values[0] != values[1]:
            lines.append(f"{name}: {values[0]} -> {values[1]}")
    return "\n".join(lines if len(lines) > 2 else [*lines, "no difference"])


def describe_methods() -> list[str]:
    """Every method on a line: name, citation, cost, and the command that runs it."""
    lines = [(m.name, m.citation, cost_of_method(m), _command(m)) for m in METHODS.values()]
    widths = [max(len(line[place]) for line in lines) for place in range(3)]
    return [
        "  ".join([*(cell.ljust(w) for cell, w in zip(line[:3], widths, strict=True)), line[3]])
        for line in lines
    ]


def describe_method(method: CatalogueEntry) -> list[str]:
    """One method: its kind, citation, cost and command, its text, its options with defaults."""
    lines = [
        f"{method.name}: {method.kind}",
        f"source: {method.citation}",
        f"cost: {cost_of_method(method)}",
    ]
    lines += [f"run: {_command(method)}", "", *text_of_method(method).splitlines(), ""]
    lines.append("options beside the name in compare.methods, with their defaults:")
    options = {name: _as_yaml(value) for name, value in options_of_method(method).items()}
    width = max(map(len, options))
    return [*lines, *(f"  {name:<{width}}  {value}" for name, value in options.items())]


def _command(method: CatalogueEntry) -> str:
    """What runs a method on digits, beside random pruning."""
    compared = load_recipe("compare/digits").compare
    if compared is None or method.name not in [m.name for m in compared.methods]:
        return f"winnow run compare/digits -o 'compare.methods=[random, {method.name}]'"
    beside = "" if method.is_control else " --only random"
    return f"winnow run compare/digits --only {method.name}{beside}"


def _as_yaml(value: object) -> str:
    words = {True: "true", False: "false", None: "null"}
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_as_yaml(inner)}' for key, inner in value.items())}}}"
    return words[value] if isinstance(value, bool) or value is None else str(value)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        return {path: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{path}.{key}" if path else str(key))
    return flat
