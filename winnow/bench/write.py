"""What a bench leaves: a table in words, a JSON file with the machine, a figure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from winnow import __version__
from winnow.bench.compare import BenchRow, Work, break_even
from winnow.bench.figure import draw_times
from winnow.engine.turns import machine
from winnow.errors import UserError
from winnow.files import write_whole


def head(names: Sequence[str]) -> str:
    """The line above the rows."""
    first, *others = names
    ratios = "".join(f"  {f'{other} / {first}':>{_width(first, other)}}" for other in others)
    return f"{'density %':>9}" + "".join(f"  {f'{name} µs':>12}" for name in names) + ratios


def line(row: BenchRow) -> str:
    """A row of the table."""
    first, *others = row.microseconds
    times = "".join(f"  {time:>12,.1f}" for time in row.microseconds.values())
    ratios = "".join(f"  {row.ratios[other]:>{_width(first, other)}.2f}" for other in others)
    return f"{100 * row.density:>9.4g}{times}{ratios}"


def _width(first: str, other: str) -> int:
    return len(first) + len(other) + 3


def even_lines(rows: Sequence[BenchRow]) -> Iterator[str]:
    """Where the first side breaks even with each other one."""
    first, *others = rows[0].microseconds
    for other in others:
        found = break_even(rows, other)
        if found is None:
            yield f"break-even: {first} is not faster than {other} at the lowest density measured"
        elif found == 1.0:
            yield f"break-even: {first} is faster than {other} at every density measured"
        else:
            yield f"break-even: {first} is faster than {other} below {100 * found:.3g} % density"


def check_out(out: Path) -> None:
    """Raises UserError where no folder can be, before time is spent."""
    for place in (out, *out.parents):
        if place.exists():
            if not place.is_dir():
                raise UserError(f"--out is {out}, but {place} is a file: name a folder")
            return


def write(work: Work, rows: Sequence[BenchRow], notes: Sequence[str], out: Path) -> list[Path]:
    """Write the JSON file and the figure, PNG and SVG; their paths."""
    others = list(rows[0].microseconds)[1:]
    answer = {
        "unit": "microseconds a training step (median)",
        "work": asdict(work),
        "machine": {"winnow": __version__, **machine()},
        "notes": list(notes),
        "rows": [asdict(row) for row in rows],
        "break-even density": {other: break_even(rows, other) for other in others},
    }
    drawing = draw_times(work, rows)
    paths = [out / f"{work.name}.{ending}" for ending in ("json", "png", "svg")]
    text = json.dumps(answer, indent=1) + "\n"
    contents: tuple[bytes | str, ...] = (text, drawing.png, drawing.svg)
    for path, content in zip(paths, contents, strict=True):
        write_whole(path, content)
    return paths
