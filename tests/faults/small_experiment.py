"""A small experiment that this process trains itself, and what a store holds of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from inline_pool import InlinePool

from winnow.data import load_images
from winnow.experiment.expected import read_experiment, write_experiment
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store, read_found
from winnow.experiment.train.executor import Settings, execute
from winnow.mask import from_bytes

RECIPE = {
    "title": "small",
    "source": "a test",
    "data": {"name": "digits", "validation": 100},
    "model": {"name": "lenet-300-100", "hidden": [9, 5]},
    "train": {
        "steps": "12it",
        "batch": 20,
        "optimizer": {"name": "adam", "lr": 5e-3},
        "evaluate": "4it",
    },
    "prune": {"rate": 0.5, "rounds": 1, "rewind": "4it"},
    "controls": {"reinit": 1},
    "analyses": [{"name": "connectivity", "arms": ["ticket"]}],
    "replicates": 1,
    "engine": "dense",
}


def planned():
    """The plan: dense, a ticket, its reinitialisation, and an analysis."""
    recipe = check_recipe(RECIPE, "small")
    return expand_lines("small", recipe, {"digits": Source(1437, load_images("digits").content)})


def make(plan, path: Path) -> None:
    """Open the store and make what is missing; a checkpoint at every look at the clock."""
    store = Store(path).open()
    write_experiment(plan.experiment(), path)
    execute(plan, store, Settings(1, checkpoint=0.0), pool=lambda _: InlinePool(Store(path), []))


def numbers(path: Path) -> dict[str, object]:
    """All but the time that a store says of its runs and analyses, states by their hash."""
    found: dict[str, object] = {}
    for file in sorted(path.glob("runs/[!.]*/result.json")):
        result = json.loads(file.read_text())
        found[file.parent.name] = {k: v for k, v in result.items() if k != "seconds"}
    for file in sorted(path.glob("analyses/[!.]*/analysis.json")):
        found[file.parent.name] = json.loads(file.read_text())["rows"]
    return found


def stamps(path: Path) -> dict[Path, tuple[int, int]]:
    """When each finished file was written, and which one it is."""
    files = [*path.glob("runs/[!.]*/*"), *path.glob("analyses/[!.]*/*")]
    return {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in files}


def check_whole(path: Path) -> None:
    """Every file that has its name is whole: fails by an error of reading it otherwise."""
    for folder in path.glob("runs/[!.]*"):
        found = read_found(folder, None)
        for name, told in found.result.files.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == told, folder / name
    for file in path.glob("analyses/[!.]*/analysis.json"):
        json.loads(file.read_text())
    for file in path.glob("checkpoints/[!.]*"):
        from_bytes("checkpoint", file.read_bytes(), str(file))
    for file in path.glob("experiments/*/experiment.json"):
        read_experiment(file)
    for file in path.glob("store.json"):
        json.loads(file.read_text())


def leftovers(path: Path) -> list[Path]:
    """What a finished store has no use for."""
    locks, checkpoints = path.glob("locks/*"), path.glob("checkpoints/*")
    return [*path.rglob(".*.tmp"), *locks, *checkpoints]
