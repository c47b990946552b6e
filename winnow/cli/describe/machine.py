"""What this machine offers: versions, cores, data, engines, the store."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from winnow.errors import UserError
from winnow.experiment.store.store import Store

_PACKAGES = (
    "winnow",
    "torch",
    "numpy",
    "numba",
    "safetensors",
    "datasets",
    "scikit-learn",
    "torchvision",
)


def examine(store: Path) -> Iterator[str]:
    """One line for each thing that was looked at."""
    yield f"python       {platform.python_version()} on {platform.system()} {platform.machine()}"
    for name in _PACKAGES:
        yield f"{name:<12} {_version(name)}"
    yield f"cores        {os.cpu_count()}"
    yield from _engines()
    yield from _names()
    yield from _data()
    yield f"store        {_store(store)}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed (optional)"


def _engines() -> Iterator[str]:
    import torch

    cpu = torch.backends.cpu.get_cpu_capability()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    yield f"processor    torch kernels for {cpu}"
    yield f"gpu          {gpu}"
    yield "engines      dense, sparse, stacked: usable; auto: the fastest that keeps float32"
    yield f"engines      compiled, compiled-bf16: {_compiler(gpu != 'none')}"


def _compiler(gpu: bool) -> str:
    """What torch.compile would call here; the engine itself tries, and falls back to dense."""
    from winnow.engine.compiled import compiler_here

    found = compiler_here(gpu)
    return f"usable with {found}" if found else "no compiler found, they train as dense does"


def _names() -> Iterator[str]:
    """What a recipe can name; its datasets stand below, each with its state."""
    from winnow import criteria, models

    yield f"criteria     {', '.join(criteria.CRITERIA)}"
    yield f"networks     {', '.join(models.network_names())}"


def _data() -> Iterator[str]:
    from winnow.data import Unreachable, dataset_names, facts, load_dataset

    root = os.environ.get("WINNOW_DATA")
    yield f"data folder  {root or 'not set ($WINNOW_DATA)'}"
    for name in dataset_names():
        try:
            images = load_dataset(name, online=False)
            state = f"found: {len(images.train_y)} + {len(images.test_y)} images, {images.source}"
        except Unreachable:
            state = "not here: fetched from the hub when a recipe needs it"
            if facts(name).in_files:
                state = "not here: put it into $WINNOW_DATA, as its terms let nobody fetch it"
        except UserError as error:
            state = f"found, but: {error}"
        yield f"data         {name}: {state}"


def _store(path: Path) -> str:
    """The state of the store; looking at it makes none."""
    if not path.exists():
        return f"{path}: not there yet, made by the first run"
    if path.is_dir() and not (path / "store.json").exists():
        return f"{path}: a folder without runs, made a store by the first run"
    try:
        count = len(Store(path).open(write=False).all())
        writable = "writable" if os.access(path, os.W_OK) else "read-only"
        return f"{path}: {count} finished runs, {writable}"
    except UserError as error:
        return str(error)
