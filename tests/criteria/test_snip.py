"""SNIP against closed forms and an explicit removal of connections."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from scored_networks import convolutional, data, perceptron
from torch import nn

import winnow as wn
from winnow.errors import UserError
from winnow.models import build
from winnow.models.initialise import initialise


def test_closed_form_of_a_linear_network() -> None:
    """L = mean ½|Wx − y|²: ∂L/∂W = (Wx − y)xᵀ/B."""
    layer = nn.Linear(4, 3, bias=False).double()
    x, _ = data(6, 4)
    y = torch.randn(6, 3).double()
    scores = wn.score(
        layer, "snip", batch=(x, y), loss_fn=lambda o, t: ((o - t) ** 2).sum(1).mean() / 2
    )
    w = layer.weight.detach()
    assert torch.allclose(scores["weight"], (w * ((x @ w.T - y).T @ x) / 6).abs(), rtol=1e-12)


@pytest.mark.parametrize("train", [True, False])
def test_it_is_the_slope_of_the_loss_as_a_connection_closes(train: bool) -> None:
    """Lee et al., equation 4: ∂L(c ⊙ w)/∂c at c = 1, by central differences."""
    model = convolutional().train(train)
    x, y = data(5, 2, 8, 8)
    scores = wn.score(model, "snip", batch=(x, y), loss_fn=F.cross_entropy)
    for name in scores:
        flat = model.get_parameter(name).data.view(-1)
        for place in (0, len(flat) // 2, len(flat) - 1):
            value, losses = float(flat[place]), []
            for c in (1 + 1e-5, 1 - 1e-5):
                flat[place] = c * value
                losses.append(float(F.cross_entropy(model(x), y).detach()))
            flat[place] = value
            slope = abs(losses[0] - losses[1]) / 2e-5
            assert scores[name].view(-1)[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_batches_are_summed_with_equal_weights() -> None:
    model, first, second = perceptron(), data(4, 4), data(7, 4, seed=1)
    loss = sum(F.cross_entropy(model(x), y) for x, y in (first, second))
    g = torch.autograd.grad(loss, model[0].weight)[0]  # type: ignore[call-overload, index]
    scores = wn.score(model, "snip", loader=iter([first, second]), loss_fn=F.cross_entropy)
    assert torch.allclose(scores["0.weight"], (model[0].weight * g).abs())  # type: ignore[index]


def test_biases_as_in_the_original_die_when_they_are_zero() -> None:
    model = perceptron()
    nn.init.zeros_(model[0].bias)  # type: ignore[index]
    names = ["*.weight", "*.bias"]
    scores = wn.score(model, "snip", batch=data(5, 4), loss_fn=F.cross_entropy, params=names)
    assert set(scores) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert not scores["0.bias"].any()
    assert scores["2.bias"].all()


def test_another_initialisation_can_be_scored() -> None:
    model, other = (build("lenet-300-100", inputs=(1, 4, 4), classes=3) for _ in range(2))
    initialise(model, "kaiming-normal", 0)
    initialise(other, "glorot-normal", 7)
    batch = (torch.randn(6, 1, 4, 4), torch.arange(6) % 3)
    mask = wn.prune(wn.score(model, "random", seed=0), density=0.5)
    for held in (None, mask):
        mine = wn.score(
            model, "snip", batch=batch, loss_fn=F.cross_entropy, mask=held,
            init="glorot-normal", init_seed=7,
        )  # fmt: skip
        theirs = wn.score(other, "snip", batch=batch, loss_fn=F.cross_entropy, mask=held)
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    with pytest.raises(UserError, match="give both"):
        wn.score(model, "snip", batch=batch, loss_fn=F.cross_entropy, init="glorot-normal")


def test_frozen_weights_are_scored_and_unused_ones_have_no_slope() -> None:
    model = perceptron()
    model[0].weight.requires_grad_(False)  # type: ignore[index]
    model.extra = nn.Linear(2, 2).double()

    class Skips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.extra = model[:3], model.extra  # type: ignore[index]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)  # type: ignore[no-any-return]

    scores = wn.score(Skips(), "snip", batch=data(5, 4), loss_fn=F.cross_entropy)
    assert scores["inner.0.weight"].all()
    assert not scores["extra.weight"].any()
    assert not model[0].weight.requires_grad  # type: ignore[index]


def test_tied_weights_get_the_slope_of_both_uses() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)).double()
    model[2].weight = model[0].weight
    batch = data(5, 4, classes=4)
    scores = wn.score(model, "snip", batch=batch, loss_fn=F.cross_entropy)
    (g,) = torch.autograd.grad(F.cross_entropy(model(batch[0]), batch[1]), [model[0].weight])
    assert list(scores) == ["0.weight"]
    assert torch.allclose(scores["0.weight"], (model[0].weight * g).abs())


def test_half_precision_sums_in_single() -> None:
    model = perceptron().to(torch.bfloat16)
    x, y = data(8, 4)
    loader = [(x.to(torch.bfloat16), y)] * 300
    one = wn.score(model, "snip", batch=loader[0], loss_fn=F.cross_entropy)["0.weight"]
    many = wn.score(model, "snip", loader=loader, loss_fn=F.cross_entropy)["0.weight"]
    assert one.dtype == torch.float32
    assert torch.allclose(many, 300 * one, rtol=1e-3)  # bfloat16 would stop at 256


def test_nan_is_said_when_pruning_and_an_empty_loader_when_scoring() -> None:
    model, (x, y) = perceptron(), data(5, 4)
    scores = wn.score(model, "snip", batch=(x * float("nan"), y), loss_fn=F.cross_entropy)
    with pytest.raises(UserError, match=r"'0\.weight': 20 of 20 are NaN or infinite"):
        wn.prune(scores, density=0.5)
    with pytest.raises(UserError, match="no batch: the loader is empty"):
        wn.score(model, "snip", loader=[], loss_fn=F.cross_entropy)
