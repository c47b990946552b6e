"""``winnow bench``: training steps timed against density."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from winnow.cli.options import duration, whole_number


def _densities(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no list of densities, e.g. 1,0.5,0.1") from None


def bench_command(
    network: Annotated[str, typer.Argument(metavar="[NETWORK]")] = "lenet-300-100",
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose images' shape [default: as usual].")
    ] = None,
    batch: Annotated[
        int, typer.Option(metavar="N", parser=whole_number, help="Images in a batch.")
    ] = 60,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help="The update rule.")] = "adam",
    density: Annotated[
        str | None, typer.Option(metavar="D,D,...", help="Densities [default: 1 down to 0.02].")
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="sparse, dense, eager, compile; may be repeated."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", parser=duration, help="For each density.")
    ] = 3.0,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the figure and the JSON file go.")
    ] = Path("bench/results"),
) -> None:
    """Time a training step against density: Winnow's engines beside plain torch.

    On one thread, in turns, on random images and masks: e.g. winnow bench, or winnow bench
    resnet-20 --batch 128 --optimizer momentum --density 1,0.2,0.05 --engine sparse --engine dense.
    Machines are shared and times drift: quote the ratios.
    """
    from winnow.bench import compare, sides, write

    work = compare.Work(network, data or compare.usual_data(network), batch, optimizer)
    densities = compare.DENSITIES if density is None else _densities(density)
    compare.check(densities, engine or (), seconds)
    write.check_out(out)
    job = compare.work_job(work)
    chosen, notes = compare.willing(engine or sides.NAMES, job)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(write.head(list(chosen)), flush=True)
    rows = []
    for row in compare.compare(job, chosen, densities, seconds):
        rows.append(row)
        print(write.line(row), flush=True)
    for line in write.even_lines(rows):
        print(line)
    paths = write.write(work, rows, notes, out)
    print(f"rows: {paths[0]}")
    for path in paths[1:]:
        print(f"figure: {path}")
