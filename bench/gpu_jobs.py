"""The work of the GPU bench: LeNet as in figure 4 and ResNet-20 as in figure 8 of the LTH paper, on
random images, so that nothing has to be downloaded."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import nn

from winnow.engine.base import Job, Split, TrainingData
from winnow.mask import Mask
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.state import State, fresh_state

ADAM = {"name": "adam", "lr": 1.2e-3, "weight_decay": 0.0, "betas": [0.9, 0.999], "eps": 1e-8}
MOMENTUM = {"name": "momentum", "lr": 0.03, "weight_decay": 1e-4, "momentum": 0.9}
CONSTANT = {"name": "constant", "drops": [], "factor": None, "warmup": 0}
WARM = {"name": "steps", "drops": [20_000, 25_000], "factor": 0.1, "warmup": 20_000}


def network(name: str, shape: tuple[int, int, int], small: bool) -> nn.Module:
    """The network, with the same weights each time."""
    options = {"lenet-300-100": {"hidden": [30, 10]}, "resnet-20": {"width": 0.25}}[name]
    model = build(name, inputs=shape, classes=10, **(options if small else {}))
    initialise(model, "glorot-normal", 0)
    return model


@functools.cache
def images(shape: tuple[int, int, int], counts: tuple[int, int, int]) -> dict[str, Split]:
    """Random images uint8 of some shape as training, validation and test split."""
    draw, total = np.random.default_rng(0), sum(counts)
    x = torch.from_numpy(draw.integers(0, 256, (total, *shape), dtype=np.uint8))
    y = torch.from_numpy(draw.integers(0, 10, total))
    parts = torch.split(torch.arange(total), counts)
    names = ("train", "validation", "test")
    return {name: Split(x, y, part) for name, part in zip(names, parts, strict=True)}


def lenet_job(seed: int = 0, small: bool = False) -> Job:
    """LeNet-300-100, batch 60, Adam, on images of MNIST's shape and number."""
    shape, counts = (1, 28, 28), (55_000, 5000, 10_000)
    if small:
        shape, counts = (1, 8, 8), (130, 50, 70)
    data = TrainingData(images(shape, counts), (33.3,), (78.6,))
    make = functools.partial(network, "lenet-300-100", shape, small)
    seeds = {"order": seed, "augment": seed}
    return Job(make, data, 50_000, 60, "keep", ADAM, CONSTANT, seeds)


def resnet_job(seed: int = 0, small: bool = False) -> Job:
    """ResNet-20, batch 128, momentum, on images of CIFAR-10's shape and number, augmented."""
    shape, counts = (3, 32, 32), (45_000, 5000, 10_000)
    if small:
        shape, counts = (3, 8, 8), (100, 50, 70)
    data = TrainingData(images(shape, counts), (120.0,) * 3, (63.0,) * 3, "flip-crop")
    make = functools.partial(network, "resnet-20", shape, small)
    seeds = {"order": seed, "augment": seed}
    batch = 32 if small else 128
    return Job(make, data, 30_000, batch, "keep", MOMENTUM, WARM, seeds)


def start(job: Job, density: float) -> State:
    """The job's initialisation under a random mask of all its matrices and kernels."""
    model = job.build()
    draw = torch.Generator().manual_seed(0)
    weights = {n: p for n, p in model.named_parameters() if p.ndim >= 2}
    mask = Mask({n: torch.rand(p.shape, generator=draw) < density for n, p in weights.items()})
    return fresh_state(model, mask)
