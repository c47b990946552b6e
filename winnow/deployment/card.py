"""The card of a deployed network: what it is, and what was measured."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from winnow.deployment.measure import Accuracy, Latency
from winnow.deployment.network import Input
from winnow.engine.turns import machine

DeployedFormat = Literal["sparse", "onnx", "torch"]


@dataclass(frozen=True)
class LayerKept:
    """How many of a layer's prunable weights are left."""

    name: str
    kept: int
    weights: int


@dataclass(frozen=True)
class LayerUnits:
    """How many units (neurons, channels) a layer had, and how many it has after shrinking."""

    name: str
    before: int
    after: int


@dataclass(frozen=True)
class CardInput:
    """An input of a network. A size of None is free."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class Card:
    """What is told of a deployed file; JSON can hold all of it.

    ``title``: what it is, in a few words. ``file``: its name in the folder of the card, of ``size``
    bytes; ``dense_size``: bytes of the weights and buffers of the dense model. ``latencies``:
    rivals in the order in which they are shown. ``before``, ``after``: of the model as it was given
    and of the deployed file, on ``data`` (its name). ``task``: as the hub names it, such as
    ``image-classification``. ``notes``: sentences. ``loading``: code. ``date``: such as 2026-11-28.
    ``difference``: the largest one of the outputs on the example.
    """

    title: str
    format: DeployedFormat
    file: str
    size: int
    dense_size: int
    inputs: tuple[CardInput, ...]
    layers: tuple[LayerKept, ...]
    loading: str
    machine: Mapping[str, str | int | None]
    latencies: tuple[Latency, ...] = ()
    before: Accuracy | None = None
    after: Accuracy | None = None
    data: str | None = None
    units: tuple[LayerUnits, ...] = ()
    difference: float | None = None
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    task: str | None = None
    license: str | None = None
    date: str | None = None

    @property
    def kept(self) -> int:
        """Weights that are left, of the layers that a mask may prune."""
        return sum(layer.kept for layer in self.layers)

    @property
    def weights(self) -> int:
        """Weights of the layers that a mask may prune."""
        return sum(layer.weights for layer in self.layers)

    @property
    def density(self) -> float:
        """The kept fraction of them."""
        return self.kept / self.weights if self.weights else 1.0


def card_inputs(inputs: Iterable[Input]) -> tuple[CardInput, ...]:
    """The inputs of a network, for its card."""
    return tuple(
        CardInput(one.name, one.shape, str(one.dtype).removeprefix("torch.")) for one in inputs
    )


def densities(mask: Mapping[str, Any]) -> tuple[LayerKept, ...]:
    """Layer by layer, of a mask: name → boolean tensor."""
    return tuple(LayerKept(name, int(keep.sum()), int(keep.numel())) for name, keep in mask.items())


def loading_code(kind: DeployedFormat, file: str, inputs: Iterable[CardInput]) -> str:
    """How to load a file of a format and run it."""
    names = [one.name for one in inputs]
    given = ", ".join(names)
    if kind == "onnx":
        fed = ", ".join(f'"{name}": {name}.numpy()' for name in names)
        return (
            "import onnxruntime\n\n"
            f'session = onnxruntime.InferenceSession("{file}")\n'
            f"outputs = session.run(None, {{{fed}}})\n"
        )
    if kind == "torch":
        return (
            "import torch\n\n"
            f'module = torch.export.load("{file}").module()\n'
            f"outputs = module({given})  # a tuple\n"
        )
    return (
        f'import winnow as wn\n\nmodule = wn.load_deployed("{file}")\noutputs = module({given})\n'
    )


def this_machine() -> dict[str, str | int | None]:
    """What was measured on: as `winnow.engine.turns.machine`, the processor as it is sold, and
    onnxruntime where it is in use.
    """
    runtime: Any = sys.modules.get("onnxruntime")
    known = {} if runtime is None else {"onnxruntime": str(runtime.__version__)}
    return {"name": processor_name(), **machine(), **known}


def processor_name() -> str:
    """Such as ``AMD EPYC``; where the system does not tell, its architecture."""
    try:
        if platform.system() == "Darwin":
            asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
            done = subprocess.run(asked, capture_output=True, text=True, check=True)
            return done.stdout.strip() or platform.machine()
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except (OSError, subprocess.SubprocessError):
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
