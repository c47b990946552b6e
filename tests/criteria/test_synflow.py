"""SynFlow: closed forms, the conservation of synaptic flow, and the range of floats."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from scored_networks import convolutional, seeded
from torch import Tensor, nn

import winnow as wn
from winnow.errors import UserError


def relu_chain(*widths: int) -> nn.Module:
    def make() -> nn.Module:
        pairs = itertools.pairwise(widths)
        units = [m for a, b in pairs for m in (nn.Linear(a, b, bias=False), nn.ReLU())]
        return nn.Sequential(*units[:-1])

    return seeded(make)


def test_closed_form_of_two_layers() -> None:
    """R = 1ᵀ|V||W|1, so the score of W[h, i] is |W[h, i]| Σₒ |V[o, h]|."""
    model = relu_chain(4, 5, 3)
    scores = wn.score(model, "synflow", input_shape=(4,))
    w, v = (model[i].weight.detach().abs() for i in (0, 2))  # type: ignore[index]
    assert torch.allclose(scores["0.weight"], w * v.sum(0)[:, None])
    assert torch.allclose(scores["2.weight"], v * w.sum(1))


def test_flow_is_conserved_in_every_neuron_and_every_layer() -> None:
    """Tanaka et al., theorems 1 and 2."""
    model = relu_chain(6, 8, 7, 4)
    mask = wn.prune(wn.score(model, "magnitude"), density=0.6)
    scores = list(wn.score(model, "synflow", input_shape=(6,), mask=mask).values())
    totals = torch.stack([s.sum() for s in scores])
    assert torch.allclose(totals, totals[0].expand(3), rtol=1e-12)
    for before, after in itertools.pairwise(scores):
        assert torch.allclose(before.sum(1), after.sum(0), rtol=1e-12)


def test_flow_is_conserved_in_the_channels_of_convolutions() -> None:
    model = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 3, 3, bias=False), nn.ReLU(), nn.Conv2d(3, 5, 1, bias=False),
        )
    )  # fmt: skip
    first, second, third = wn.score(model, "synflow", input_shape=(2, 8, 8)).values()
    assert torch.allclose(first.sum((1, 2, 3)), second.sum((0, 2, 3)))
    assert torch.allclose(second.sum((1, 2, 3)), third.sum((0, 2, 3)))
    assert first.sum().item() == pytest.approx(third.sum().item())


def test_parameters_and_buffers_are_absolute_and_batch_norm_in_eval_mode() -> None:
    """As in the authors' code: abs() on the whole state_dict, running means included."""
    model = convolutional()
    x = torch.randn(3, 2, 8, 8, dtype=torch.float64)
    twin = convolutional().eval()
    twin.load_state_dict({n: t.abs() for n, t in twin.state_dict().items()})
    twin(torch.ones(1, 2, 8, 8).double()).sum().backward()
    for train in (True, False):
        scores = wn.score(model.train(train), "synflow", batch=(x, None))
        for name, score in scores.items():
            weight = twin.get_parameter(name)
            assert weight.grad is not None
            assert torch.allclose(score, (weight * weight.grad).abs(), rtol=1e-12)
        assert model.training is train


@pytest.mark.parametrize("scale", [1e15, 1e-15])
def test_single_precision_gives_way_to_double(scale: float) -> None:
    """Four layers of 1e±15: R leaves float32's range, but the ranking is what it was."""
    widths = (6, 8, 8, 8, 3)
    expected = wn.score(relu_chain(*widths), "synflow", input_shape=(6,))
    model = relu_chain(*widths).float()
    plain = wn.score(model, "synflow", input_shape=(6,))
    assert plain["0.weight"].dtype == torch.float32
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(scale)
    scores = wn.score(model, "synflow", input_shape=(6,))
    for name, own in scores.items():
        assert own.dtype == torch.float64
        assert torch.allclose(own / scale**4, expected[name], rtol=1e-5)
        assert torch.allclose(plain[name].double(), expected[name], rtol=1e-5)


def test_removed_weights_do_not_count_as_underflow() -> None:
    model = relu_chain(6, 8, 3).float()
    mask = wn.Mask({n: torch.rand(p.shape) < 0.7 for n, p in model.named_parameters()})
    scores = wn.score(model, "synflow", input_shape=(6,), mask=mask)
    assert scores["0.weight"].dtype == torch.float32
    assert all(not scores[name][~mask[name]].any() for name in mask)


def test_half_precision_and_tied_weights() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)).to(torch.bfloat16)
    model[2].weight = model[0].weight
    scores = wn.score(model, "synflow", input_shape=(4,))
    assert list(scores) == ["0.weight"]
    w, b = model[0].weight.detach().double().abs(), model[0].bias.detach().double().abs()
    variable = w.clone().requires_grad_()
    b2 = model[2].bias.detach().double().abs()
    (variable @ (variable @ torch.ones(4).double() + b) + b2).sum().backward()
    assert variable.grad is not None
    assert torch.allclose(scores["0.weight"].double(), w * variable.grad, rtol=1e-6)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.inner(x)
        return y, y


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (relu_chain(4, 3), {}, r"pass input_shape=\(3, 32, 32\)"),
        (relu_chain(4, 3), {"batch": ("text", None)}, "its inputs are a str: they must be"),
        (Pair(), {"input_shape": (2,)}, "this model returns a tuple"),
        (nn.Linear(2, 2).double(), {"input_shape": (2,)}, "is inf in double precision"),
    ],
)
def test_bad_input(model: nn.Module, given: dict[str, Any], said: str) -> None:
    if "double" in said:
        nn.init.constant_(model.weight, 1.7e308)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=said):
        wn.score(model, "synflow", **given)
