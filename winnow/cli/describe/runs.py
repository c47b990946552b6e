"""Stored runs in words, and how two of them differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from winnow.cli.progress import in_words
from winnow.experiment.store.store import Found


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


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        return {path: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{path}.{key}" if path else str(key))
    return flat
