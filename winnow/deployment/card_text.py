"""The card of a deployed network as README.md: YAML for the hub, Markdown for readers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from winnow.deployment.card import Card
from winnow.deployment.measure import Accuracy, three_digits
from winnow.report.wording import accuracy, percent

_TAGS = ["sparse", "pruning", "lottery-ticket"]
_WHAT = {
    "sparse": "Its layers run kernels that skip zeros, where that was measured to be faster; the "
    "file holds the nonzeros alone.",
    "onnx": "An ONNX file, for any runtime.",
    "torch": "A program of `torch.export`.",
}
_FRACTION = re.compile(r"[^a-z0-9]+")
_LANES = {4: "128-bit", 8: "AVX2", 16: "AVX-512"}


def card_text(card: Card) -> str:
    """All of README.md."""
    parts = [
        _front_matter(card),
        f"# {_line(card.title)}",
        f"Deployed by [Winnow](https://github.com/winnow-sparse/winnow). {_WHAT[card.format]}",
        _summary(card),
        *map(_line, card.notes),
        *_latency(card),
        "## Load it",
        f"```python\n{card.loading.rstrip()}\n```",
        _inputs(card),
        *_density(card),
        *_units(card),
        *_provenance(card),
    ]
    return "\n\n".join(parts) + "\n"


def bytes_text(size: int) -> str:
    """Three digits: 812 bytes, 74.2 kB (of 1,000 bytes), 1.07 MB."""
    if size < 1000:
        return f"{size} bytes"
    for unit, scale in (("kB", 1e3), ("MB", 1e6)):
        if size < 999.5 * scale:
            return f"{three_digits(size / scale)} {unit}"
    return f"{three_digits(size / 1e9)} GB"


def _front_matter(card: Card) -> str:
    about: dict[str, Any] = {"library_name": "winnow"}
    about |= {} if card.license is None else {"license": card.license}
    about |= {} if card.task is None else {"pipeline_tag": card.task}
    about["tags"] = [*_TAGS, *(["onnx"] if card.format == "onnx" else [])]
    if card.after is not None:
        about["metrics"] = ["accuracy"]
        if card.data is not None and card.task is not None:
            about["model-index"] = [_results(card, card.data, card.after)]
    return f"---\n{yaml.safe_dump(about, sort_keys=False, allow_unicode=True)}---"


def _results(card: Card, data: str, after: Accuracy) -> dict[str, Any]:
    """What the hub shows beside the card."""
    kind = _FRACTION.sub("-", data.lower()).strip("-") or "data"
    result = {
        "task": {"type": card.task},
        "dataset": {"type": kind, "name": data},
        "metrics": [{"type": "accuracy", "value": after.share}],
    }
    return {"name": card.title, "results": [result]}


def _summary(card: Card) -> str:
    smaller = three_digits(card.dense_size / card.size) if card.size else "0"
    rows = [
        ["size", bytes_text(card.dense_size), f"{bytes_text(card.size)} ({smaller} times smaller)"],
        ["prunable weights", f"{card.weights:,}", f"{card.kept:,} ({percent(card.density)} %)"],
    ]
    if card.size > card.dense_size:
        rows[0][2] = bytes_text(card.size)
    if card.before is not None or card.after is not None:
        seen = card.after or card.before
        assert seen is not None
        where = "" if card.data is None else f" on {_line(card.data)}"
        what = f"accuracy{where}, {seen.examples:,} examples"
        rows.append([what, _accuracy(card.before), _accuracy(card.after)])
    if card.difference is not None:
        rows.append(["largest difference of outputs", "", f"{card.difference:.2g}"])
    if card.date is not None:
        rows.append(["date", "", _line(card.date)])
    return _table(["", "as given", f"`{card.file}`"], rows)


def _accuracy(value: Accuracy | None) -> str:
    return "" if value is None else f"{accuracy(value.share)} %"


def _latency(card: Card) -> list[str]:
    if not card.latencies:
        return []
    sizes = list(dict.fromkeys(one.batch for one in card.latencies))
    rivals = list(dict.fromkeys(one.rival for one in card.latencies))
    known = {(one.rival, one.batch): one for one in card.latencies}
    rows = [[rival, *(str(known.get((rival, size), "")) for size in sizes)] for rival in rivals]
    turns = min(one.turns for one in card.latencies)
    said = (
        "Time of one call on one thread: the median of "
        f"{turns} turns, with the quartiles, the rivals in alternation. {_machine(card)}."
    )
    return ["## Latency", said, _table(["", *(f"batch {size}" for size in sizes)], rows)]


def _machine(card: Card) -> str:
    """Such as: AMD EPYC (znver4), vectors of 16 float32 (AVX-512), torch 2.13, numba 0.68."""
    known = card.machine
    name, llvm = known.get("name"), known.get("processor")
    told = [f"{name} ({llvm})" if name and llvm else str(name or llvm or "unknown processor")]
    if (lanes := known.get("float32 lanes")) is not None:
        width = f" ({_LANES[lanes]})" if lanes in _LANES and isinstance(lanes, int) else ""
        told.append(f"vectors of {lanes} float32{width}")
    told += [f"{one} {known[one]}" for one in ("torch", "numba", "onnxruntime") if one in known]
    return _line(", ".join(told))


def _density(card: Card) -> list[str]:
    rows = [[_code(layer.name), *_kept(layer.kept, layer.weights)] for layer in card.layers]
    rows.append(["total", *_kept(card.kept, card.weights)])
    return ["## Density", _table(["layer", "kept", "weights", "%"], rows)]


def _kept(kept: int, weights: int) -> list[str]:
    return [f"{kept:,}", f"{weights:,}", percent(kept / weights) if weights else ""]


def _inputs(card: Card) -> str:
    rows = [[_code(one.name), _shape(one.shape), one.dtype] for one in card.inputs]
    return _table(["input", "shape", "type"], rows)


def _units(card: Card) -> list[str]:
    if not card.units:
        return []
    rows = [[_code(one.name), f"{one.before:,}", f"{one.after:,}"] for one in card.units]
    return ["## Units before and after shrinking", _table(["layer", "before", "after"], rows)]


def _provenance(card: Card) -> list[str]:
    if not card.provenance:
        return []
    text = json.dumps(card.provenance, indent=1, ensure_ascii=False)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return ["## Where it comes from", f"{fence}json\n{text}\n{fence}"]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    marks = ["---", *(["--:"] * (len(head) - 1))]
    lines = [head, marks, *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return _line(text).replace("|", r"\|")


def _code(name: str) -> str:
    return f"`{name}`"


def _line(text: str) -> str:
    """On one line, whatever it holds."""
    return " ".join(text.split())


def _shape(shape: Iterable[int | None]) -> str:
    return ", ".join("any" if size is None else str(size) for size in shape)
