"""A small job, a moment to show to a method, and each method with options for short runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from winnow.algorithms.dynamic import DYNAMIC_METHODS, make_dynamic
from winnow.algorithms.dynamic.driven import Driven, start_dynamic
from winnow.algorithms.dynamic.method import DynamicMethod, Memory, Moment
from winnow.algorithms.dynamic.timing import Timing
from winnow.data.order import steps_per_epoch
from winnow.engine.base import Engine, Job, Split, TrainingData
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.state import State, fresh_state

STEPS = 40
ADAM = {"name": "adam", "lr": 1e-2, "weight_decay": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8}
MOMENTUM = {"name": "momentum", "lr": 0.05, "weight_decay": 1e-3, "momentum": 0.9}
SHAPES = {"a": (6, 5), "b": (4, 3, 2, 2), "c": (3, 4)}
NAMES = ["hidden.0.weight", "hidden.1.weight", "output.weight"]
OPTIONS: dict[str, dict[str, Any]] = {
    "gradual": {"every": "4it"},
    "set": {"every": "4it"},
    "deep-r": {"temperature": 1e-3},
    "dsr": {"every": "2it", "threshold": 0.05},
    "snfs": {"every": "4it"},
    "rigl": {"every": "4it"},
}


def short(name: str, density: float = 0.2, **options: Any) -> Any:
    """A method whose updates come often."""
    return make_dynamic(name, density, **{**OPTIONS[name], **options})


ALL = sorted(DYNAMIC_METHODS)


def job(
    optimizer: dict[str, Any] = MOMENTUM, shape: tuple[int, int, int] = (1, 4, 4), **changes: Any
) -> Job:
    """A little LeNet on random images whose labels follow from their brightness."""
    pixels = np.random.default_rng(1).integers(0, 256, (87, *shape), dtype=np.uint8)
    x = torch.from_numpy(pixels)
    y = torch.argsort(torch.argsort(x.float().mean(dim=(1, 2, 3)))) * 10 // 87
    index = torch.arange(87)
    splits = {"train": Split(x, y, index[:47]), "test": Split(x, y, index[47:])}
    usual: dict[str, Any] = {
        "build": lambda: build("lenet-300-100", inputs=shape, classes=10, hidden=[12, 8]),
        "data": TrainingData(splits, (127.5,) * shape[0], (73.9,) * shape[0]),
        "steps": STEPS,
        "batch": 20,
        "last_batch": "keep",
        "optimizer": optimizer,
        "schedule": {"name": "steps", "drops": [25], "factor": 0.1, "warmup": 0},
        "seeds": {"order": 3, "augment": 4, "dropout": 5},
    }
    return Job(**{**usual, **changes})


def per_epoch(one: Job) -> int:
    return steps_per_epoch(len(one.data.splits["train"].index), one.batch, one.last_batch)


def dense_state(one: Job, seed: int = 7) -> State:
    model = one.build()
    initialise(model, "glorot-normal", seed)
    return fresh_state(model)


def tensors(seed: int, shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Normal numbers, some of them equal, so that ties occur."""
    generator = torch.Generator().manual_seed(seed)
    normal = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return {name: (value * 8).round() / 8 for name, value in normal.items()}


def masks(seed: int, shapes: dict[str, tuple[int, ...]], density: float) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.rand(shape, generator=generator) < density for n, shape in shapes.items()}


def moment(weights: dict[str, torch.Tensor], mask: dict[str, torch.Tensor], **more: Any) -> Moment:
    """A moment in the middle of a training of 100 iterations."""

    def perturb(change: Any) -> None:
        for name, keep in mask.items():
            weights[name][keep] = change(name, weights[name][keep])

    def nothing() -> dict[str, torch.Tensor]:
        raise AssertionError("not for this method")

    usual: dict[str, Any] = {
        "step": 50,
        "timing": Timing(0, 100, 10, 100),
        "mask": mask,
        "memory": Memory(),
        "seed": 3,
        "rate": 0.1,
        "kept": lambda: {name: weights[name][keep] for name, keep in mask.items()},
        "gradient": nothing,
        "momentum": nothing,
        "perturb": perturb,
    }
    return Moment(**{**usual, **more})


def smallest(weight: torch.Tensor, keep: torch.Tensor, count: int) -> set[int]:
    """Flat indices of the kept weights that go first: of equal ones the higher index."""
    flat = weight.abs().reshape(-1).tolist()
    places = keep.reshape(-1).nonzero().squeeze(1).tolist()
    return set(sorted(places, key=lambda i: (flat[i], -i))[:count])


def under(mask: dict[str, torch.Tensor], values: dict[str, torch.Tensor]) -> dict:
    return {name: torch.where(mask[name], value, 0.0) for name, value in values.items()}


def total(mask: dict[str, torch.Tensor]) -> int:
    return sum(int(keep.sum()) for keep in mask.values())


def flat_set(keep: torch.Tensor) -> set[int]:
    return set(keep.reshape(-1).nonzero().squeeze(1).tolist())


def train_dynamic(
    engine: Engine, job: Job, state: State, method: DynamicMethod, *, seed: int,
    names: list[str] | None = None, to: int | None = None,
) -> State:  # fmt: skip
    """The state at iteration ``to`` of a dynamic training, from a state of one, or with ``names``
    from a dense one.
    """
    begun = state if names is None else start_dynamic(method, state, names, seed)
    session = Driven(engine, method, seed).open(job, begun)
    assert session.advance(job.steps if to is None else to).diverged_at is None
    return session.state()
