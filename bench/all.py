"""Measures the tables of docs/speed.md, bench after bench, and prints them with their goals.

    python bench/all.py [--only network_density threads ...] [--smoke]

About an hour; nothing else should use the machine, above all during ``threads``. What a bench
says goes to the error stream, the tables to the output. One that fails is told at the end, and the
others are measured all the same. With ``--smoke`` each bench makes its smoke run, and the tables
are those of the results that are there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from family import family
from script import arguments

HERE = Path(__file__).parent
BENCHES = {  # in this order: a bench -> what is added to its command
    "lenet_density": (),
    "network_density": ("--network", "resnet-20", "vgg-19", "conv-6"),
    "conv_density": (),
    "threads": (),
    "moments": (),
}
MORE = {"backends": (), "scoring": (), "search": (), "lenet_step": (), "deploy": ()} | {
    "deep_r": (),
    "first_run": (),
}
"""Those whose tables are written by hand: only with ``--only``."""


def measure(name: str, added: Sequence[str], smoke: bool) -> bool:
    """Run a bench in a process of its own; whether it went well."""
    command = [sys.executable, str(HERE / f"{name}.py"), *(["--smoke"] if smoke else added)]
    print(f"$ {' '.join(command[1:])}", file=sys.stderr, flush=True)
    return subprocess.run(command, stdout=sys.stderr, check=False).returncode == 0


def tables() -> str:
    """The tables that docs/speed.md takes from the results."""
    sys.path.append(str(HERE.parent / "docs"))
    from making.speed import PARTS

    return "\n\n".join(
        f"## {name.removeprefix('speed-')}\n{make()}" for name, make in PARTS.items()
    )


def run_all(argv: Sequence[str] | None = None) -> int:
    parser = arguments(__doc__)
    known = {**BENCHES, **MORE}
    parser.add_argument("--only", nargs="+", default=list(BENCHES), choices=list(known))
    asked = parser.parse_args(argv)
    failed = [name for name in asked.only if not measure(name, known[name], asked.smoke)]
    print(f"# {family()}\n\n{tables()}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run_all())
