"""Jobs that every engine must train alike, and a slow reference in float64 to hold them against."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow import rng
from winnow.data.augment import flip_crop
from winnow.data.order import Batches
from winnow.engine.base import Engine, Job, Session, Split, TrainingData
from winnow.mask import Mask
from winnow.models import build
from winnow.models.initialise import initialise
from winnow.state import State, fresh_state

CONSTANT = {"name": "constant", "drops": [], "factor": None, "warmup": 0}
ADAM = {"name": "adam", "lr": 1e-2, "weight_decay": 0.0, "betas": [0.9, 0.999], "eps": 1e-8}
RMSPROP = {
    **{"name": "rmsprop", "lr": 1e-2, "weight_decay": 1e-3},
    **{"decay": 0.95, "eps": 1e-2, "momentum": 0.0},
}
OPTIMIZERS = [
    {"name": "sgd", "lr": 0.1, "weight_decay": 1e-3},
    {"name": "momentum", "lr": 0.05, "weight_decay": 1e-3, "momentum": 0.9},
    {"name": "nesterov", "lr": 0.05, "weight_decay": 1e-3, "momentum": 0.9},
    ADAM | {"weight_decay": 1e-3},
    ADAM | {"name": "adamw", "weight_decay": 1e-2},
    RMSPROP,
    RMSPROP | {"lr": 3e-3, "momentum": 0.8},
]


def images(count: int, shape: tuple[int, int, int], seed: int) -> Tensor:
    """Pixels uint8 (count, C, H, W)."""
    numbers = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return torch.from_numpy(numbers)


def training_data(shape: tuple[int, int, int], count: int = 47, classes: int = 10) -> TrainingData:
    """Random images whose labels follow from their brightness, so that there is much to learn."""
    x = images(count + 40, shape, 1)
    brightness = x.float().mean(dim=(1, 2, 3))
    y = torch.argsort(torch.argsort(brightness)) * classes // (count + 40)
    index = torch.arange(count + 40)
    splits = {
        "train": Split(x, y, index[:count]),
        "validation": Split(x, y, index[count : count + 20]),
        "test": Split(x, y, index[count + 20 :]),
    }
    return TrainingData(splits, (127.5,) * shape[0], (73.9,) * shape[0])


def make_job(build_model: Callable[[], nn.Module], data: TrainingData, **changes: Any) -> Job:
    """A job of 60 steps in batches of 20 (the last of an epoch has 7), changed as asked."""
    usual: dict[str, Any] = {
        "steps": 60,
        "batch": 20,
        "last_batch": "keep",
        "optimizer": ADAM,
        "schedule": CONSTANT,
        "seeds": {"order": 3, "augment": 4, "dropout": 5},
    }
    return Job(build=build_model, data=data, **{**usual, **changes})


def lenet(shape: tuple[int, int, int] = (1, 4, 4)) -> Callable[[], nn.Module]:
    """A builder of a small LeNet."""
    return lambda: build("lenet-300-100", inputs=shape, classes=10, hidden=[12, 8])


def random_mask(model: nn.Module, density: float, seed: int = 0) -> Mask:
    """A random mask over all matrices and kernels."""
    generator = torch.Generator().manual_seed(seed)
    return Mask(
        {
            name: torch.rand(p.shape, generator=generator) < density
            for name, p in model.named_parameters()
            if p.ndim >= 2
        }
    )


def start(job: Job, density: float | None, seed: int = 7) -> State:
    """The masked initialisation of a job's network."""
    model = job.build()
    initialise(model, "glorot-normal", seed)
    return fresh_state(model, None if density is None else random_mask(model, density))


def reference(job: Job, state: State, steps: int) -> dict[str, Tensor]:
    """Weights and buffers after ``steps`` of float64 autograd and the rules as in the papers."""
    model = job.build().double()
    model.load_state_dict({**state.weights, **state.buffers})
    weights = dict(model.named_parameters())
    slots: dict[str, dict[str, Tensor]] = {n: {} for n in weights}
    for step in range(steps):
        _, gradients = differentiate(job, state, model, step)
        if job.clip is not None:
            norm = math.sqrt(sum(float((g**2).sum()) for g in gradients.values()))
            gradients = {n: g * min(1.0, job.clip / norm) for n, g in gradients.items()}
        with torch.no_grad():
            for name, weight in weights.items():
                update(job.optimizer, weight, gradients[name], slots[name], step + 1)
    return {n: w.detach() for n, w in weights.items()} | dict(model.named_buffers())


def differentiate(
    job: Job, state: State, model: nn.Module, step: int
) -> tuple[float, dict[str, Tensor]]:
    """Loss and masked gradients of the batch of a step, by autograd in the model's own type."""
    split = job.data.splits["train"]
    batches = Batches(len(split.index), job.batch, job.last_batch, job.seeds["order"])
    x, y = split.take(torch.tensor(batches.indices(step)))
    if job.data.augment == "flip-crop":
        x = flip_crop(x, rng.stream(job.seeds["augment"], "augment", step))
    mean, std = (torch.tensor(v).double().view(-1, 1, 1) for v in (job.data.mean, job.data.std))
    torch.manual_seed(rng.torch_seed(job.seeds["dropout"], "dropout", step))
    weights = dict(model.train().named_parameters())
    loss = F.cross_entropy(model((x.double() - mean) / std), y)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    keep = {n: k.double() for n, k in (state.mask or {}).items()}
    named = zip(weights, gradients, strict=True)
    return loss.item(), {n: g * keep.get(n, 1.0) for n, g in named}


def update(spec: Mapping[str, Any], w: Tensor, g: Tensor, slot: dict[str, Tensor], t: int) -> None:
    """One update of a weight by the textbook rule."""
    if spec["name"] == "adamw":
        w -= spec["lr"] * spec["weight_decay"] * w
    else:
        g = g + spec["weight_decay"] * w
    if spec["name"] in ("adam", "adamw"):
        b1, b2 = spec["betas"]
        m = slot["m"] = b1 * slot.get("m", torch.zeros_like(w)) + (1 - b1) * g
        v = slot["v"] = b2 * slot.get("v", torch.zeros_like(w)) + (1 - b2) * g**2
        w -= spec["lr"] * (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + spec["eps"])
    elif spec["name"] == "sgd":
        w -= spec["lr"] * g
    elif spec["name"] == "rmsprop":
        rest = 1 - spec["decay"]
        v = slot["v"] = spec["decay"] * slot.get("v", torch.zeros_like(w)) + rest * g**2
        moved = spec["lr"] * g / (v.sqrt() + spec["eps"])
        u = slot["u"] = spec["momentum"] * slot.get("u", torch.zeros_like(w)) + moved
        w -= u
    else:
        u = slot["u"] = spec["momentum"] * slot.get("u", torch.zeros_like(w)) + g
        w -= spec["lr"] * (g + spec["momentum"] * u if spec["name"] == "nesterov" else u)


def open_or_skip(engine: Engine, job: Job, state: State) -> Session:
    """A session; the test is skipped, with the reason, where the engine refuses the job."""
    if reason := engine.refuses(job):
        pytest.skip(f"{engine.name} refuses: {reason}")
    return engine.open(job, state)


def trained(engine: Engine, job: Job, state: State, to: int) -> State:
    session = open_or_skip(engine, job, state)
    session.advance(to)
    return session.state()


def same(one: State, other: State) -> None:
    """The states are equal in every bit."""
    for name, mine, theirs in _pairs(one, other):
        assert torch.equal(mine, theirs), name


def close(one: State, other: State, rtol: float = 1e-3, atol: float = 2e-5) -> None:
    """The states agree to rounding."""
    for _, mine, theirs in _pairs(one, other):
        torch.testing.assert_close(mine, theirs, rtol=rtol, atol=atol)


def _pairs(one: State, other: State) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The tensors of two states of the same layout, by name."""
    assert one.step == other.step
    assert one.updates == other.updates
    assert one.slots.keys() == other.slots.keys()
    groups = [(one.weights, other.weights), (one.buffers, other.buffers)]
    for mine, theirs in groups + [(one.slots[s], other.slots[s]) for s in one.slots]:
        assert mine.keys() == theirs.keys()
        yield from ((name, mine[name], theirs[name]) for name in mine)
