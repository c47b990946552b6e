"""GraSP against autograd's full Hessian."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scored_networks import convolutional, data, perceptron
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import winnow as wn
from winnow.errors import UserError

Batch = tuple[Tensor, Tensor]


def halves(batch: Batch) -> list[Batch]:
    x, y = batch
    middle = len(x) // 2
    return [(x[:middle], y[:middle]), (x[middle:], y[middle:])]


def by_the_full_hessian(
    model: nn.Module, batches: Sequence[Batch], temperature: float
) -> dict[str, Tensor]:
    """w·(Hg): H is the matrix of second derivatives of the sum of the halves' losses."""
    names = [n for n, p in model.named_parameters() if p.ndim > 1]
    weights = [model.get_parameter(n).detach() for n in names]
    sizes = [w.numel() for w in weights]
    parts = [half for batch in batches for half in halves(batch)]

    def loss(flat: Tensor) -> Tensor:
        shaped = zip(names, flat.split(sizes), weights, strict=True)
        given = {n: part.view(w.shape) for n, part, w in shaped}
        total = torch.zeros((), dtype=torch.float64)
        for x, y in parts:
            logits = torch.func.functional_call(model, given, (x,))
            total = total + F.cross_entropy(logits / temperature, y)
        return total

    flat = torch.cat([w.flatten() for w in weights])
    h = torch.autograd.functional.hessian(loss, flat)
    g = torch.autograd.functional.jacobian(loss, flat)
    scores = (flat * (h @ g)).split(sizes)
    return {n: s.view(w.shape) for n, s, w in zip(names, scores, weights, strict=True)}


def assert_close(mine: Any, theirs: dict[str, Tensor], rtol: float = 1e-9) -> None:
    assert list(mine) == list(theirs)
    for name, expected in theirs.items():
        error = (mine[name] - expected).abs().max() / expected.abs().max()
        assert error < rtol, (name, error)


@pytest.mark.parametrize("temperature", [200.0, 1.0])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("normal", [True, False])
def test_the_full_hessian_of_a_convolutional_network(
    temperature: float, train: bool, normal: bool
) -> None:
    model = convolutional(normal).train(train)
    batch = data(7, 2, 8, 8)
    expected = by_the_full_hessian(model, [batch], temperature)
    for keep_graph in (True, False):
        scores = wn.score(
            model, "grasp", batch=batch, loss_fn=F.cross_entropy, temperature=temperature,
            keep_graph=keep_graph,
        )  # fmt: skip
        assert_close(scores, expected)


def test_closed_form_of_a_linear_network() -> None:
    """L = ½ mean |Wx − y|² / T²: with C = Σ over halves of mean xxᵀ/T², Hg = g·C."""
    layer = nn.Linear(4, 3, bias=False).double()
    x, _ = data(6, 4)
    y = torch.randn(6, 3).double()

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs - targets) ** 2).sum(1).mean() / 2

    scores = wn.score(layer, "grasp", batch=(x, y), loss_fn=loss, temperature=2.0)
    w = layer.weight.detach()
    c = x.T @ x / 3 / 4
    g = ((x @ w.T / 2 - y).T @ x / 2) / 3
    assert torch.allclose(scores["weight"], w * (g @ c), rtol=1e-12)


def test_g_and_its_product_are_sums_over_batches() -> None:
    model = convolutional()
    batches = [data(7, 2, 8, 8), data(4, 2, 8, 8, seed=1), data(5, 2, 8, 8, seed=2)]
    expected = by_the_full_hessian(model, batches, 200)
    scores = wn.score(model, "grasp", loader=batches, loss_fn=F.cross_entropy)
    assert_close(scores, expected)


def test_large_scores_are_of_weights_that_the_gradient_flow_needs() -> None:
    """Removing a weight changes gᵀg by −2·score to first order (equation 7)."""
    model, (x, y) = perceptron(), data(6, 4)

    def flow() -> float:
        weights = [model[0].weight, model[2].weight]  # type: ignore[index]
        g: Any = 0
        for a, b in halves((x, y)):
            terms = torch.autograd.grad(F.cross_entropy(model(a), b), weights)
            g = [t + (g[i] if g else 0) for i, t in enumerate(terms)]
        return float(sum((t * t).sum() for t in g))

    scores = wn.score(model, "grasp", batch=(x, y), loss_fn=F.cross_entropy, temperature=1.0)
    flat = model[0].weight.data.view(-1)  # type: ignore[index, operator]
    for place in range(0, 20, 3):
        value, flows = float(flat[place]), []
        for part in (1 - 1e-5, 1 + 1e-5):
            flat[place] = part * value
            flows.append(flow())
        flat[place] = value
        slope = (flows[0] - flows[1]) / 2e-5
        expected = -2 * scores["0.weight"].view(-1)[place].item()
        assert slope == pytest.approx(expected, rel=1e-5, abs=1e-10)


def test_one_example_is_one_half_and_none_an_error() -> None:
    model, (x, y) = perceptron(), data(2, 4)
    together = wn.score(model, "grasp", batch=(x, y), loss_fn=F.cross_entropy)
    apart = wn.score(
        model, "grasp", loader=[(x[:1], y[:1]), (x[1:], y[1:])], loss_fn=F.cross_entropy
    )
    assert_close(apart, dict(together))
    for faulty, words in (
        ((x[:0], y[:0]), "one row for each example, at least one"),
        ((x, y[:1]), "splits each batch in two halves, but 2 inputs have 1 targets"),
    ):
        with pytest.raises(UserError, match=words):
            wn.score(model, "grasp", batch=faulty, loss_fn=F.cross_entropy)


def test_only_the_scored_weights_count_and_frozen_ones_are_scored() -> None:
    """H and g are those of the named parameters, so a selection changes the scores."""
    model, batch = perceptron(), data(6, 4)
    model[2].weight.requires_grad_(False)  # type: ignore[index]
    everything = wn.score(model, "grasp", batch=batch, loss_fn=F.cross_entropy)
    assert_close(everything, by_the_full_hessian(model, [batch], 200))
    biases = wn.score(model, "grasp", batch=batch, loss_fn=F.cross_entropy, params="*.bias")
    assert all(scores.any() for scores in biases.values())
    first = wn.score(model, "grasp", batch=batch, loss_fn=F.cross_entropy, params="0.weight")
    assert not torch.allclose(first["0.weight"], everything["0.weight"])


def test_batch_norm_weights_can_be_scored() -> None:
    """Then the layer is differentiated torch's way: finite differences of g·g agree."""
    model, (x, y) = convolutional(), data(6, 2, 8, 8)
    scores = wn.score(
        model, "grasp", batch=(x, y), loss_fn=F.cross_entropy, params="1.*", temperature=1.0
    )
    weights = [model[1].weight, model[1].bias]  # type: ignore[index]

    def flow() -> Tensor:
        terms = [torch.autograd.grad(F.cross_entropy(model(a), b), weights) for a, b in
                 halves((x, y))]  # fmt: skip
        return sum((a + b).pow(2).sum() for a, b in zip(*terms, strict=True))  # type: ignore[return-value]

    for name, weight in zip(("1.weight", "1.bias"), weights, strict=True):
        value = weight.data[0].item()
        flows = []
        for step in (1e-5, -1e-5):
            weight.data[0] = value + step
            flows.append(float(flow()))
        weight.data[0] = value
        slope = (flows[0] - flows[1]) / 2e-5 / 2
        assert scores[name][0].item() == pytest.approx(value * slope, rel=1e-4, abs=1e-10)


def test_tied_weights() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)).double()
    model[2].weight = model[0].weight
    batch = data(6, 4, classes=4)
    scores = wn.score(model, "grasp", batch=batch, loss_fn=F.cross_entropy)
    assert_close(scores, by_the_full_hessian(model, [batch], 200))


def test_reinit_head_scores_other_linear_weights() -> None:
    model, batch = convolutional(), data(6, 2, 8, 8)
    generator = torch.Generator().manual_seed(3)
    mask = wn.prune(wn.score(model, "magnitude"), density=0.6)
    scores = wn.score(
        model, "grasp", batch=batch, loss_fn=F.cross_entropy, generator=generator, mask=mask,
        reinit_head=True,
    )  # fmt: skip
    same = torch.Generator().manual_seed(3)
    with torch.no_grad():
        drawn = nn.init.xavier_normal_(torch.empty(3, 24), generator=same)
        model[7].weight.copy_(drawn)  # type: ignore[index]
        for name in mask:
            model.get_parameter(name).mul_(mask[name])
    assert_close(scores, by_the_full_hessian(model, [batch], 200))
    assert not scores["7.weight"][~mask["7.weight"]].any()
    with pytest.raises(UserError, match="'grasp' needs a generator"):
        wn.score(model, "grasp", batch=batch, loss_fn=F.cross_entropy, reinit_head=True)


def test_a_loss_that_is_linear_in_the_weights_has_no_curvature() -> None:
    layer = nn.Linear(4, 1).double()
    scores = wn.score(layer, "grasp", batch=data(4, 4), loss_fn=lambda outputs, _: outputs.mean())
    assert not scores["weight"].any()


def test_half_precision_sums_in_single() -> None:
    model = perceptron().to(torch.bfloat16)
    x, y = data(8, 4)
    loader = [(x.to(torch.bfloat16), y)] * 4
    scores = wn.score(model, "grasp", loader=loader, loss_fn=F.cross_entropy, temperature=1.0)
    expected = by_the_full_hessian(perceptron(), [(x, y)] * 4, 1.0)
    for name, own in scores.items():
        assert own.dtype == torch.float32
        assert (
            torch.corrcoef(torch.stack([own.double().flatten(), expected[name].flatten()]))[0, 1]
            > 0.99
        )


# ---- the second pass


class Augmented(TensorDataset):
    def __getitem__(self, i: int) -> tuple[Tensor, ...]:
        x, y = super().__getitem__(i)
        return x * (1 + random.random() + float(np.random.rand()) + torch.rand(())), y


@pytest.mark.parametrize("own_generator", [False, True])
def test_a_shuffled_augmented_loader_gives_the_same_batches_twice(own_generator: bool) -> None:
    model = nn.Sequential(nn.Dropout(0.3), *perceptron())
    seen: list[Tensor] = []

    class Records(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.inner[0](x)
            seen.append(y.detach())
            return self.inner[1:](y)  # type: ignore[no-any-return]

    generator = torch.Generator().manual_seed(5) if own_generator else None
    loader = DataLoader(Augmented(*data(12, 4)), batch_size=4, shuffle=True, generator=generator)
    wn.score(Records(), "grasp", loader=loader, loss_fn=F.cross_entropy)
    assert len(seen) == 12
    assert all(torch.equal(a, b) for a, b in zip(seen[:6], seen[6:], strict=True))


def test_what_cannot_be_read_twice_is_refused() -> None:
    model, batch, other = perceptron(), data(4, 4), data(4, 4, seed=1)
    given = {"loss_fn": F.cross_entropy}
    one = wn.score(model, "grasp", loader=iter([batch]), **given)  # type: ignore[arg-type]
    assert_close(one, dict(wn.score(model, "grasp", batch=batch, **given)))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"read only once: pass list\(loader\)"):
        wn.score(model, "grasp", loader=iter([batch, other]), **given)  # type: ignore[arg-type]

    class Changes:
        def __init__(self, *passes: list[Batch]) -> None:
            self.passes = list(passes)

        def __iter__(self) -> Iterator[Batch]:
            return iter(self.passes.pop(0))

    for second, place in (([other, batch], 0), ([batch], 1), ([batch, other, batch], 2)):
        with pytest.raises(UserError, match=f"batch {place} of the second pass was another"):
            wn.score(model, "grasp", loader=Changes([batch, other], second), **given)  # type: ignore[arg-type]


def test_memory_does_not_grow_with_the_number_of_batches() -> None:
    """Graph tensors that are alive when a batch is read: the same for the third and the ninth."""
    alive: list[int] = []
    saved: set[int] = set()

    class Token:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor.detach()  # its graph would make a cycle
            saved.add(id(self))

        def __del__(self) -> None:
            saved.discard(id(self))

    class Watched:
        def __iter__(self) -> Iterator[Batch]:
            for seed in range(9):
                alive.append(len(saved))
                yield data(4, 4, seed=seed)

    with torch.autograd.graph.saved_tensors_hooks(Token, lambda token: token.tensor):
        wn.score(perceptron(), "grasp", loader=Watched(), loss_fn=F.cross_entropy)
    assert len(alive) == 18
    assert alive[1] > 0  # the first batch's graph waits to see whether there is a second
    assert set(alive[2:9]) == {0}
    assert max(alive[9:]) == 0
