"""Claim: at 10, 5, 2 % of the weights a sparse file runs 3 to 12 times as fast as ONNX Runtime.
Peer: ONNX Runtime on the dense network, float32 and int8 (static, by channel), one thread, in turn.

    python bench/deploy.py [--networks …] [--densities …] [--turns 9] [--smoke]

Inference alone, on one thread: a batch of 1 and one of 64 images; 128 tokens for the linear layer
of a transformer. Weights are masked at random, each layer at the same density, and batch norms have
statistics. All rivals are called from Python with tensors or arrays that are ready. torch is there
too, and Winnow's file with weights of one byte. The goals are those of the issue that asked for the
runtime, as multiples of the peer in brackets. Times are of the processor, which others may share:
quote the ratios. Needs onnxruntime, onnx and onnxscript (pip install 'winnow[onnx]'); without them
torch is the only peer. Writes bench/results/deploy.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from script import add_turns, arguments, keep, parse
from torch import Tensor, nn

from winnow.deployment.capture import capture
from winnow.deployment.measure import Latency, Rival, latencies, module_rival
from winnow.deployment.network import Network
from winnow.deployment.onnx import export_onnx
from winnow.deployment.onnx_session import OnnxSession
from winnow.deployment.runtime.module import SparseModule
from winnow.deployment.runtime.sparse import sparse_network
from winnow.deployment.simplify import simplified
from winnow.engine.turns import machine
from winnow.errors import UserError
from winnow.models import build

RESULTS = Path(__file__).parent / "results" / "deploy.json"
HOW = "processor time, medians of alternating turns, warm caches"
DENSITIES = (0.1, 0.05, 0.02)
SMOKE = {"networks": ["lenet"], "densities": [0.1], "turns": 2, "turn": 0.002}

GOALS: Mapping[str, Mapping[int, Sequence[float]]] = {
    "lenet": {1: (3, 5, 8), 64: (3.5, 4.7, 8.7)},
    "resnet-20": {1: (3, 5, 8), 64: (3, 4, 5)},
    "vgg-19": {1: (3, 5, 8), 64: (5, 8, 12)},
    "linear": {1: (4, 7, 15), 128: (2.9, 4.2, 5.9)},
    "conv-16": {1: (5.0, 7.7, 11)},
    "conv-64": {1: (2.6, 4.8, 9)},
    "conv-256": {1: (1.5, 2.8, 7)},
}
"""Against float32, at `DENSITIES`, by network and batch."""


def _convolution(channels: int, side: int) -> tuple[Callable[[], nn.Module], tuple[int, ...]]:
    return lambda: nn.Conv2d(channels, channels, 3, padding=1), (channels, side, side)


def _network(name: str, *inputs: int) -> tuple[Callable[[], nn.Module], tuple[int, ...]]:
    channels, high, wide = inputs
    return lambda: build(name, inputs=(channels, high, wide), classes=10), inputs


NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "lenet": _network("lenet-300-100", 1, 28, 28),
    "resnet-20": _network("resnet-20", 3, 32, 32),
    "vgg-19": _network("vgg-19", 3, 32, 32),
    "linear": (lambda: nn.Linear(768, 3072), (768,)),
    "conv-16": _convolution(16, 32),
    "conv-64": _convolution(64, 32),
    "conv-256": _convolution(256, 8),
}
"""How each is built, and the shape of an example."""


def masked(name: str, density: float) -> nn.Module:
    """A network with random weights of this density, in evaluation."""
    torch.manual_seed(0)
    model = NETWORKS[name][0]().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                drawn = torch.rand(parameter.shape, generator=generator)
                parameter.mul_(drawn < density)
    return model


def onnx_rivals(network: Network, example: Tensor) -> dict[str, Rival]:
    """ONNX Runtime on the dense network; none where it is not installed."""
    rivals: dict[str, Rival] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, int8 in (("onnxruntime", False), ("onnxruntime int8", True)):
            file = Path(folder) / f"{int8}.onnx"
            try:
                export_onnx(network, file, [example], int8=int8, calibration=[example])
            except UserError as error:
                print(f"{name}: {error}", file=sys.stderr)
                return rivals
            rivals[name] = OnnxSession(file.read_bytes()).prepared
    return rivals


def rivals_of(name: str, density: float, example: Tensor) -> dict[str, Rival]:
    """Winnow's file, torch, and ONNX Runtime, on the same network."""
    model = masked(name, density)
    network = simplified(capture(model, example[:2]))
    return {
        "winnow": module_rival(SparseModule(sparse_network(network))),
        "winnow int8": module_rival(SparseModule(sparse_network(network, int8=True))),
        "torch": module_rival(model),
        **onnx_rivals(network, example),
    }


def rows(name: str, densities: Sequence[float], turns: int, turn: float) -> list[dict[str, Any]]:
    """One row for each density and batch: seconds of every rival, and ratios to Winnow's."""
    made = []
    example = torch.randn(64, *NETWORKS[name][1], generator=torch.Generator().manual_seed(2))
    torch.set_num_threads(1)
    for density in densities:
        rivals = rivals_of(name, density, example)
        found = latencies(
            rivals, [example], tuple(GOALS[name]), turns=turns, turn=turn, clock=time.process_time
        )
        made += [_row(name, density, batch, found) for batch in GOALS[name]]
    return made


def _row(name: str, density: float, batch: int, found: Sequence[Latency]) -> dict[str, Any]:
    times = {one.rival: one for one in found if one.batch == batch}
    ours = times["winnow"].median
    goals = dict(zip(DENSITIES, GOALS[name][batch], strict=True))
    others = {rival: one.median / ours for rival, one in times.items() if rival != "winnow"}
    spread = {rival: (one.high - one.low) / one.median for rival, one in times.items()}
    return {
        "network": name,
        "batch": batch,
        "density": density,
        "seconds": {rival: one.median for rival, one in times.items()},
        "quartiles apart, as a share": spread,
        "times as fast as": others,
        "goal": goals.get(density),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and keep the rows."""
    parser = arguments(__doc__)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--densities", nargs="+", type=float, default=list(DENSITIES))
    add_turns(parser)
    parser.add_argument("--turn", type=float, default=0.05, help="seconds of a turn")
    asked = parse(parser, argv, SMOKE)
    made: list[dict[str, Any]] = []
    for name in asked.networks:
        for row in rows(name, asked.densities, asked.turns, asked.turn):
            print(json.dumps(row, indent=1))
            made.append(row)
    keep({"how": HOW, "machine": machine(), "rows": made}, RESULTS, asked)


if __name__ == "__main__":
    main()
