"""The tables of docs/speed.md, from ``bench/results``: families of processors side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from making.tables import table

RESULTS = Path(__file__).parents[2] / "bench" / "results"

GOALS: Mapping[str, Mapping[float, float]] = {
    "lenet-300-100": {1: 0.9, 0.1: 5.5},
    "resnet-20": {0.1: 3, 0.02: 5},
    "vgg-19": {0.1: 5, 0.02: 12},
    "conv-6": {0.1: 4, 0.02: 10},
    "convolutions": {0.1: 4, 0.02: 12},
}
"""How many times as fast as the strongest dense rival, by density; a LeNet's is JAX."""

TITLES = {"resnet-20": "ResNet-20", "vgg-19": "VGG-19", "vgg-11": "VGG-11", "conv-6": "Conv-6",
          "lenet-300-100": "LeNet-300-100"}  # fmt: skip

Answers = Mapping[str, Mapping[str, Any]]
"""Family -> what a bench answered there."""

Row = Mapping[str, Any]


def answers(name: str) -> Answers:
    """The results of a bench; none where it has not run."""
    file = RESULTS / f"{name}.json"
    found: Answers = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return found


# ---- what every table is made by


def beside(
    keys: Iterable[tuple[Any, ...]],
    heads: Sequence[str],
    families: Mapping[str, Mapping[tuple[Any, ...], Sequence[str]]],
    columns: Sequence[str],
    last: Mapping[tuple[Any, ...], str] | None = None,
) -> str:
    """A table: a row for each key, and for each family its columns; ``last``: the goals."""
    head = [*heads, *(f"{_short(family)}: {column}" for family in families for column in columns)]
    rows = []
    for key in keys:
        cells = [_shown(part) for part in key]
        for found in families.values():
            cells += found.get(key, [""] * len(columns))
        rows.append(cells + ([] if last is None else [last.get(key, "")]))
    return table([*head, *([] if last is None else ["goal"])], rows)


def how(families: Answers) -> str:
    """How each family's rows were measured."""
    if not families:
        return "Not measured yet."
    lines = [f"{name}: {answer.get('how', 'see its script')}" for name, answer in families.items()]
    only = f" Measured on {next(iter(families))} only." if len(families) == 1 else ""
    return f"({'; '.join(lines)}.){only}"


def reached(goals: Mapping[float, float], ratios: Mapping[str, Mapping[float, float]]) -> str:
    """Where the goals are reached and by how much they are missed, in a sentence for each."""
    lines = []
    for density, goal in goals.items():
        told = [
            f"{'reached' if of[density] >= goal else 'missed'} on {_short(name)} ({of[density]:g})"
            for name, of in ratios.items()
            if density in of
        ]
        if told:
            lines.append(f"Goal {goal:g} at density {density:g}: {', '.join(told)}.")
    return " ".join(lines)


def _short(family: str) -> str:
    """``AMD, Zen 5 (AVX-512)`` without the instructions."""
    return family.partition(" (")[0]


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _densities(all_rows: Iterable[Iterable[Row]]) -> list[tuple[float]]:
    found = {float(row["density"]) for rows in all_rows for row in rows}
    return [(density,) for density in sorted(found, reverse=True)]


def _goals(name: str) -> dict[tuple[Any, ...], str]:
    return {(density,): _shown(goal) for density, goal in GOALS[name].items()}


# ---- the tables


def lenet() -> str:
    """LeNet's step: a table for each family, with every rival measured there."""
    parts, ratios = [], {}
    found = answers("lenet_density")
    for family, answer in found.items():
        rivals = list(dict.fromkeys(k for r in answer["rows"] for k in r if k.endswith("/ sparse")))
        rows = [
            [_shown(r["density"]), f"{r['sparse']:,.0f}", *(_shown(r.get(k, "")) for k in rivals)]
            for r in answer["rows"]
        ]
        parts.append(table((f"{_short(family)}: density", "sparse, µs", *rivals), rows))
        if "JAX / sparse" in rivals:
            ratios[family] = {r["density"]: r["JAX / sparse"] for r in answer["rows"]}
    against = f"Against JAX: {reached(GOALS['lenet-300-100'], ratios)}" if ratios else ""
    return "\n\n".join(filter(None, [*parts, against, how(found)]))


def networks() -> str:
    """Whole steps of convolutional networks: a table for each network."""
    found, parts = answers("network_density"), []
    for name in ("resnet-20", "vgg-19", "conv-6"):
        own = {
            family: [row for row in answer["rows"] if row["network"] == name]
            for family, answer in found.items()
        }
        own = {family: rows for family, rows in own.items() if rows}
        if not own:
            continue
        batch = next(iter(own.values()))[0]["batch"]
        cells = {f: {(float(r["density"]),): _step(r) for r in rows} for f, rows in own.items()}
        ratios = {f: {r["density"]: _ratio(r) for r in rows} for f, rows in own.items()}
        columns = ("fastest dense, ms", "sparse, ms", "ratio", "sparse-bf16, ms", "its ratio")
        grid = beside(_densities(own.values()), ["density"], cells, columns, _goals(name))
        only = f" Measured on {_short(next(iter(own)))} only." if len(own) == 1 else ""
        said = f"{reached(GOALS[name], ratios)}{only}".strip()
        parts.append(f"**{TITLES[name]}, batch {batch}**\n\n{grid}\n\n{said}")
    return "\n\n".join([*parts, how(found)])


def _step(row: Row) -> list[str]:
    times = row["median"]
    best = min((side for side in times if not side.startswith("sparse")), key=lambda s: times[s])
    dense = f"{_number(times[best])} ({best})"
    cells = [dense, _number(times["sparse"]), _shown(_ratio(row))]
    if "sparse-bf16" not in times:
        return [*cells, "", ""]
    ratio = row["best dense / sparse-bf16, median"]
    return [*cells, _number(times["sparse-bf16"]), _shown(ratio)]


def _ratio(row: Row) -> float:
    ratio: float = row["best dense / sparse, median"]
    return ratio


def convolutions() -> str:
    """3x3 convolutions alone: the mean over the layers, and the worst layer."""
    found = answers("conv_density")
    cells: dict[str, dict[tuple[Any, ...], list[str]]] = {}
    means: dict[str, dict[float, float]] = {}
    for family, answer in found.items():
        means[family] = {float(d): r for d, r in answer["geometric mean of the ratios"].items()}
        worst = {
            density: min(r["ratio"] for r in answer["rows"] if r["density"] == density)
            for density in means[family]
        }
        cells[family] = {(d,): [_shown(m), _shown(worst[d])] for d, m in means[family].items()}
    keys = [(d,) for d in sorted({d for of in means.values() for d in of}, reverse=True)]
    grid = beside(keys, ["density"], cells, ("mean", "worst layer"), _goals("convolutions"))
    return f"{grid}\n\n{reached(GOALS['convolutions'], means)} {how(found)}"


def threads() -> str:
    """Threads of one run: its speed-up, and the ratio to torch on as many."""
    found = answers("threads")
    if not found:
        return "Not measured yet: `python bench/threads.py`."
    cells: dict[str, dict[tuple[Any, ...], list[str]]] = {}
    for family, answer in found.items():
        cells[family] = {
            (TITLES[r["network"]], float(r["density"]), r["threads"]): [
                _number(r["ms"]["sparse"]),
                *(_shown(r[k]) for k in ("speed-up", "speed-up of torch", "best dense / sparse")),
            ]
            for r in answer["rows"]
        }
    keys = list(dict.fromkeys(key for of in cells.values() for key in of))
    columns = ("ms", "speed-up", "torch's speed-up", "torch / sparse")
    return f"{beside(keys, ['network', 'density', 'threads'], cells, columns)}\n\n{how(found)}"


def moments() -> str:
    """Moments of per-example gradients, in plain passes and in memory."""
    found = answers("moments")
    cells: dict[str, dict[tuple[Any, ...], list[str]]] = {}
    for family, answer in found.items():
        cells[family] = {
            (TITLES[row["network"]], side): [_shown(of["passes"]), _shown(of["MiB"])]
            for row in answer["rows"]
            for side, of in _sides(row)
        }
    keys = list(dict.fromkeys(key for of in cells.values() for key in of))
    return f"{beside(keys, ['network', 'what'], cells, ('passes', 'MiB'))}\n\n{how(found)}"


def _sides(row: Row) -> Iterator[tuple[str, Row]]:
    for side, of in row.items():
        if isinstance(of, dict):
            yield side, of


PARTS = {
    "speed-lenet": lenet,
    "speed-networks": networks,
    "speed-convolutions": convolutions,
    "speed-threads": threads,
    "speed-moments": moments,
}
