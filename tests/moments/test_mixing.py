"""Networks that mix the examples of a batch are refused wherever they do, and no others."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import winnow as wn
from winnow.errors import UserError

CRITERIA = ("obd", "data-dependent", "mlprune")


class Step(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class OverBatch(nn.Module):
    """Attention that takes the batch for the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attend(x[:, None], x[:, None], x[:, None])[0][:, 0]


MIXERS: dict[str, Callable[[], nn.Module]] = {
    "mean": lambda: Step(lambda h: h - h.mean(0)),
    "detached mean": lambda: Step(lambda h: h - h.mean(0).detach()),
    "weak mean": lambda: Step(lambda h: h + 1e-3 * h.mean(0)),
    "standardised": lambda: Step(lambda h: (h - h.mean(0)) / (h.std(0) + 0.1)),
    "norm of all": lambda: Step(lambda h: h / h.norm()),
    "softmax": lambda: Step(lambda h: h.softmax(0)),
    "cumsum": lambda: Step(lambda h: h.cumsum(0)),
    "cummax": lambda: Step(lambda h: h.cummax(0)[0]),
    "roll": lambda: Step(lambda h: h + h.roll(1, 0)),
    "roll by 2": lambda: Step(lambda h: h.roll(2, 0)),
    "roll by 4": lambda: Step(lambda h: h.roll(4, 0)),
    "flip": lambda: Step(lambda h: h.flip(0)),
    "sort": lambda: Step(lambda h: h.sort(0)[0]),
    "largest": lambda: Step(lambda h: h - h.amax(0)),
    "similarity": lambda: Step(lambda h: torch.tanh(h @ h.T) @ h),
    "attention": OverBatch,
    "recurrence": lambda: Step2(nn.GRU(6, 6)),
    "pairs": lambda: Step(lambda h: h + h.view(-1, 2, 6).flip(1).reshape(-1, 6)),
    "batch norm without statistics": lambda: nn.BatchNorm1d(6, track_running_stats=False),
    "train norm": lambda: Step(lambda h: F.batch_norm(h, None, None, training=True)),
}


class Step2(nn.Module):
    """A recurrent layer that takes the batch for time."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


class Net(nn.Module):
    def __init__(self, mixer: nn.Module, where: str) -> None:
        super().__init__()
        self.first, self.inner = nn.Linear(5, 6), nn.Linear(6, 6)
        self.last = nn.Linear(6, 6) if where == "last" else nn.Linear(6, 3)
        self.mixer, self.where = mixer, where

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        h = self.mixer(h) if self.where == "before" else h
        h = torch.tanh(self.inner(h))
        h = self.mixer(h) if self.where == "between" else h
        h = self.last(h)
        return self.mixer(h) if self.where == "last" else h


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def data(count: int = 12) -> tuple[Tensor, Tensor]:
    return torch.randn(count, 5), torch.arange(count) % 3


@pytest.mark.parametrize("where", ["before", "between", "last"])
@pytest.mark.parametrize("mixer", MIXERS)
def test_mixing_is_refused(mixer: str, where: str) -> None:
    model, batch = Net(MIXERS[mixer](), where), data()
    linear = ["first.weight", "inner.weight", "last.weight"]
    for criterion in CRITERIA:
        for params in (linear, ["last.weight"], ["first.weight"]):
            with pytest.raises(UserError, match=r"mixes the examples.*model\.eval\(\)"):
                wn.score(model, criterion, batch=batch, loss_fn=F.cross_entropy, params=params)


@pytest.mark.parametrize("count", [2, 3, 17, 40])
def test_in_batches_of_any_size(count: int) -> None:
    model, (x, y) = Net(MIXERS["mean"](), "before"), data(count)
    for criterion in CRITERIA:
        with pytest.raises(UserError, match="mixes the examples of a batch in 'mixer' "):
            wn.score(model, criterion, batch=(x, y), loss_fn=F.cross_entropy, params="*.weight")
    loader = [(x[:1], y[:1]), (x, y)]
    with pytest.raises(UserError, match="mixes the examples"):
        wn.score(model, "obd", loader=loader, loss_fn=F.cross_entropy)


def test_batch_norm_in_training_mode() -> None:
    """Moments take its running statistics; factors of Kronecker products the mode of the model."""
    model, batch = Net(nn.BatchNorm1d(6), "before"), data()
    with pytest.raises(UserError, match=r"in 'mixer' \(BatchNorm1d\).*model\.eval\(\)"):
        wn.score(model, "mlprune", batch=batch, loss_fn=F.cross_entropy)
    wn.score(model, "obd", batch=batch, loss_fn=F.cross_entropy)
    wn.score(model.eval(), "mlprune", batch=batch, loss_fn=F.cross_entropy)


class Counting(nn.Module):
    """Another function in every pass: what it gives says nothing of mixing."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * (1 + 1 / self.calls)


class Away(nn.Module):
    """Mixes and takes it back: rows inside are other examples', outputs are not."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.roll(1, 0)).roll(-1, 0)


class Hidden(nn.Module):
    """Mixes what no output depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * self.inner(x - x.mean(0))


def spectral(training: bool) -> nn.Module:
    return nn.utils.spectral_norm(nn.Linear(6, 6)).train(training)


APART: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "layer norm": lambda: nn.LayerNorm(6),
    "dropout": lambda: nn.Dropout(0.4),
    "rms": lambda: nn.RMSNorm(6),
    "shuffled features": lambda: Step(lambda h: h.flip(1)),
    "constant": lambda: Step(lambda h: h + torch.zeros_like(h).sum(0)),
    "noise": lambda: Step(lambda h: h + 0.1 * torch.randn_like(h)),
    "in place": lambda: Step(lambda h: (h + 0).mul_(2)),
    "counting": Counting,
    "away": Away,
    "hidden": Hidden,
    "dead": lambda: Step(lambda h: h * 0),
    "huge": lambda: Step(lambda h: h * 1e18),
    "tiny": lambda: Step(lambda h: h * 1e-30),
    "half": lambda: Step(lambda h: h.half().to(h.dtype)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", APART)
def test_what_keeps_examples_apart_is_not_refused(name: str, dtype: torch.dtype) -> None:
    model, (x, y) = Net(APART[name](), "before").to(dtype), data()
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    for criterion in CRITERIA:
        for mode in (True, False):
            linear = ["first.weight", "inner.weight", "last.weight"]
            wn.score(
                model.train(mode), criterion, batch=(x.to(dtype), y), loss_fn=F.cross_entropy,
                params=linear,
            )  # fmt: skip
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["away", "hidden", "counting"])
def test_scores_are_those_of_each_example_alone(name: str) -> None:
    module = Step(lambda h: 2 * h) if name == "counting" else APART[name]()
    model, (x, y) = Net(module, "before").double(), data()
    x = x.double()
    scores = wn.score(model, "obd", batch=(x, y), loss_fn=F.cross_entropy)
    weights = [model.get_parameter(key) for key in scores]
    total: list[Any] = [0 for _ in weights]
    for i in range(len(x)):
        loss = F.cross_entropy(model(x[i : i + 1]), y[i : i + 1])
        slopes = torch.autograd.grad(loss, weights)
        total = [t + g**2 for t, g in zip(total, slopes, strict=True)]
    for weight, key, square in zip(weights, scores, total, strict=True):
        torch.testing.assert_close(scores[key], weight.detach() ** 2 * square / len(x) / 2)


def test_spectral_norm_in_training_mode_is_no_mixing() -> None:
    """It writes to its buffers in every pass."""
    model = Net(nn.Identity(), "before")
    model.inner = nn.utils.spectral_norm(model.inner)  # type: ignore[assignment]
    for criterion in CRITERIA:
        wn.score(
            model.train(), criterion, batch=data(), loss_fn=F.cross_entropy,
            params=["first.weight", "last.weight"],
        )  # fmt: skip


def test_inputs_of_several_parts() -> None:
    """Mappings and tuples, with tokens, masks, and a scalar."""

    class Parts(nn.Module):
        def __init__(self, mixes: bool) -> None:
            super().__init__()
            self.embed, self.head, self.mixes = nn.Embedding(9, 6), nn.Linear(6, 3), mixes

        def forward(self, ids: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
            h = (self.embed(ids) * mask[..., None]).sum(1) * scale
            return self.head(h - h.mean(0) if self.mixes else h)

    y = torch.arange(8) % 3
    x = {"ids": torch.randint(9, (8, 4)), "mask": torch.rand(8, 4), "scale": torch.tensor(2.0)}
    given: dict[str, Any] = {"batch": (x, y), "loss_fn": F.cross_entropy, "params": "head.weight"}
    for criterion in CRITERIA:
        wn.score(Parts(False), criterion, **given)
        with pytest.raises(UserError, match="mixes the examples"):
            wn.score(Parts(True), criterion, **given)
