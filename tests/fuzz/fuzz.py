"""Fuzz a loader: ``python tests/fuzz/fuzz.py TARGET [--seconds N]``, by atheris where it is here.

Without atheris inputs are mutated as the tests mutate them. An input that raises what is not
documented, or takes more than 2 GiB beside what it began with, ends the process with 1 and is kept
in ``build/fuzz/TARGET``. The last line on standard output counts the inputs.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
for _place in ("", "tests/fuzz", "tests/deployment", "tests/experiment"):
    sys.path.insert(0, str(ROOT / _place))
_INSTRUMENTED = (
    *("winnow.mask", "winnow.digest", "winnow.tablefile", "winnow.statefile", "winnow.packing"),
    *("winnow.ticket", "winnow.ticketfile", "winnow.survivors", "winnow.pretrained"),
    *("winnow.deployment.saved", "winnow.deployment.graphjson", "winnow.deployment.outputs"),
    *("winnow.experiment.store", "winnow.experiment.runs", "winnow.experiment.run_parts"),
    *("winnow.experiment.recipe", "winnow.experiment.train.checkpoint", "winnow.importing"),
    *("winnow.experiment.expected", "winnow.experiment.analyses", "winnow.amounts"),
)  # what reads files; to instrument all of Winnow takes minutes
_ROOM = 2 << 30
TARGETS = (
    *("ticket", "mask", "network", "state", "checkpoint", "card", "experiment", "analysis"),
    *("calibration", "source", "store", "run", "table", "images", "pretrained", "foreign"),
    *("image", "recipe", "amount"),
)
_MEMORY = Path("/dev/shm")


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("target", nargs="?", default="ticket")
    asked.add_argument("--list", action="store_true", help="the targets, a line each")
    asked.add_argument("--seconds", type=float, default=3600)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--plain", action="store_true", help="without atheris")
    given = asked.parse_args()
    if given.list:
        print("\n".join(TARGETS))
        return 0
    found = ROOT / "build" / "fuzz" / given.target
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        if given.plain or not _has_atheris():
            return _plainly(given.target, Path(folder), found, given.seconds, given.seed)
        return _by_coverage(given.target, Path(folder), found, given.seconds)


def _has_atheris() -> bool:
    try:
        import atheris  # noqa: F401
    except ImportError:
        return False
    return True


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def corpus(target: str) -> list[bytes]:
    """The kept inputs of a target."""
    return [file.read_bytes() for file in sorted((HERE / "corpus" / target).glob("*"))]


def _plainly(target: str, folder: Path, found: Path, seconds: float, seed: int) -> int:
    from mutations import mutated
    from targets import Targets

    targets = Targets(folder)
    read, inputs = targets.by_name[target], targets.seeds(target) + corpus(target)
    _limit_memory()
    chosen, count, end = random.Random(f"{target} {seed}"), 0, time.monotonic() + seconds
    faults: set[str] = set()
    while time.monotonic() < end:
        data = mutated(chosen.choice(inputs), chosen)
        count += 1
        try:
            read(data)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            fault = f"{type(error).__name__} at {place.filename}:{place.lineno}"
            if fault not in faults:
                faults.add(fault)
                (found / f"fault-{seed}-{count}").write_bytes(data)
                print(f"{fault}: {str(error)[:200]}", file=sys.stderr)
                traceback.print_exc()
    print(f"{target}: {count} inputs, {len(faults)} faults")
    return int(bool(faults))


def _by_coverage(target: str, folder: Path, found: Path, seconds: float) -> int:
    import atheris

    with atheris.instrument_imports(include=list(_INSTRUMENTED)):
        from targets import Targets

        targets = Targets(folder)
    read = targets.by_name[target]
    seeds = found / "corpus"
    seeds.mkdir(exist_ok=True)
    for number, data in enumerate(targets.seeds(target) + corpus(target)):
        (seeds / f"seed-{number}").write_bytes(data)
    options = [f"-max_total_time={int(seconds)}", f"-artifact_prefix={found}/", "-max_len=65536"]
    options += ["-rss_limit_mb=4096", "-timeout=30", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(seeds)], read)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
