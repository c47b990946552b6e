"""MLPrune against dense matrices, explicit loops and least squares."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scored_networks import convolutional, data, perceptron, seeded
from torch import Tensor, nn

import winnow as wn
from winnow.algorithms.surgeon import operate
from winnow.criteria.base import Subject
from winnow.criteria.kronecker import Factors, kronecker_factors
from winnow.criteria.mlprune import surgeon
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.scoring import unchanged
from winnow.selection import prunable

CE = F.cross_entropy


def subject(model: nn.Module, *batches: Any, **given: Any) -> Subject:
    return Subject("mlprune", model, prunable(model), batches, given.pop("loss_fn", CE), **given)


def changes_of(model: nn.Module, batch: Any, mask: Mask, **options: Any) -> dict[str, Tensor]:
    with unchanged(model):
        return surgeon(subject(model, batch), mask, **options)


def factors_of(model: nn.Module, *batches: Any, **options: Any) -> dict[str, Factors]:
    with unchanged(model):
        return kronecker_factors(subject(model, *batches), **options)


def dense_inverse(
    factors: dict[str, Factors], name: str, damping: float, shared: bool = True
) -> Tensor:
    """((G + √λ/π I) ⊗ (A + π√λ I))⁻¹ of a layer, in the order of W.flatten(): Martens & Grosse
    2015, section 6.3, with λ a part of the mean of the dense matrices' diagonals; no groups."""
    matrices = {
        n: (f.g[0], f.a[0]) for n, f in factors.items() if f.g is not None and f.a is not None
    }
    diagonals = {n: torch.kron(*pair).diagonal() for n, pair in matrices.items()}
    whole = torch.cat(list(diagonals.values())) if shared else diagonals[name]
    g, a = matrices[name]
    root, pi = (damping * whole.mean()).sqrt(), (a.trace() / len(a) / g.trace() * len(g)).sqrt()
    damped = g + root / pi * torch.eye(len(g)).to(g), a + pi * root * torch.eye(len(a)).to(a)
    return torch.linalg.inv(torch.kron(*damped))


@pytest.mark.parametrize("normal", [True, False])
def test_factors_are_means_over_examples_and_positions(normal: bool) -> None:
    """An explicit loop: one example at a time, one position at a time."""
    model = convolutional(normal).eval()
    batches = [data(4, 2, 8, 8), data(3, 2, 8, 8, seed=1)]
    found = factors_of(model, *batches)
    for name, groups in (("0.weight", 1), ("3.weight", 2)):
        layer: Any = model.get_submodule(name[0])
        sums: list[Any] = [[0, 0] for _ in range(groups)]
        for x, y in [(a[i : i + 1], b[i : i + 1]) for a, b in batches for i in range(len(a))]:
            kept: dict[str, Tensor] = {}
            handle = layer.register_forward_hook(
                lambda _, i, o, kept=kept: kept.update(x=i[0], y=o) or o.retain_grad()
            )
            CE(model(x), y).backward()  # type: ignore[no-untyped-call]
            handle.remove()
            padded = F.pad(kept["x"][0], [layer.padding[0]] * 4)
            delta = kept["y"].grad[0]  # type: ignore[index]
            stride, positions = layer.stride[0], delta[0].numel()
            for k in range(groups):
                own = padded.chunk(groups)[k]
                for i in range(delta.shape[1]):
                    for j in range(delta.shape[2]):
                        patch = own[:, i * stride : i * stride + 3, j * stride : j * stride + 3]
                        a = patch.flatten()
                        if layer.bias is not None:
                            a = torch.cat([a, torch.ones(1).double()])
                        d = delta.chunk(groups)[k][:, i, j]
                        sums[k][0] = sums[k][0] + torch.outer(a, a) / 7
                        sums[k][1] = sums[k][1] + torch.outer(d, d) / 7 / positions
        a, g = found[name].a, found[name].g
        assert a is not None
        assert g is not None
        for k in range(groups):
            assert torch.allclose(a[k], sums[k][0], rtol=1e-9, atol=1e-14)
            assert torch.allclose(g[k], sums[k][1], rtol=1e-9, atol=1e-14)


def test_one_example_gives_the_exact_fisher_of_a_linear_layer() -> None:
    model, (x, y) = perceptron(), data(1, 4)
    found = factors_of(model, (x, y))["2.weight"]
    weight, bias = model[2].weight, model[2].bias  # type: ignore[index]
    g = torch.autograd.grad(CE(model(x), y), [weight, bias])
    gradient = torch.cat([g[0], g[1][:, None]], 1).flatten()
    assert found.a is not None
    assert found.g is not None
    assert torch.allclose(torch.kron(found.g[0], found.a[0]), torch.outer(gradient, gradient))


@pytest.mark.parametrize(("damping", "shared"), [(1e-3, True), (0.3, True), (0.1, False)])
def test_scores_and_updates_are_those_of_the_dense_surgeon(damping: float, shared: bool) -> None:
    """Hassibi & Stork 1993, equation 5, with the dense inverse; one weight at a time."""
    model, batch = perceptron(), data(20, 4)
    found = factors_of(model, batch)
    options: dict[str, Any] = {"damping": damping, "shared": shared}
    scores = wn.score(model, "mlprune", batch=batch, loss_fn=CE, **options)
    for name, layer in (("0.weight", model[0]), ("2.weight", model[2])):  # type: ignore[index]
        inverse = dense_inverse(found, name, **options)
        full = torch.cat([layer.weight, layer.bias[:, None]], 1).detach()  # type: ignore[list-item, index]
        dense = (full.flatten() ** 2 / inverse.diagonal()).view(full.shape)
        assert torch.allclose(scores[name], dense[:, :-1], rtol=1e-9)
        keep = torch.ones_like(layer.weight, dtype=torch.bool)  # type: ignore[arg-type]
        keep[1, 2] = False
        q = 1 * full.shape[1] + 2
        expected = (-full[1, 2] / inverse[q, q] * inverse[:, q]).view(full.shape)
        for joint in (True, False):
            changes = changes_of(model, batch, Mask({name: keep}), **options, joint=joint)
            change = torch.cat([changes[name], changes[name[:2] + "bias"][:, None]], 1)
            assert torch.allclose(change, expected, rtol=1e-6, atol=1e-9)
            assert change[1, 2].item() == pytest.approx(-full[1, 2].item())


def test_one_damping_makes_layers_comparable() -> None:
    """Where the damping is all there is, the Fisher matrix is λI and the scores are λw²."""
    model, batch = perceptron(), data(20, 4)
    scores = wn.score(model, "mlprune", batch=batch, loss_fn=CE, damping=1e12)
    size = {n: s / model.get_parameter(n).detach() ** 2 for n, s in scores.items()}
    expected = size["0.weight"][0, 0]
    assert all(torch.allclose(s, expected, rtol=1e-4) for s in size.values())


def test_a_damping_too_small_for_float32_is_said() -> None:
    """128 equal units: all but one eigenvalue of A is 0 but for rounding."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 128), nn.Linear(128, 3))
    with torch.no_grad():
        model[0].weight[:] = model[0].weight[0]  # type: ignore[index, operator]
    x, y = torch.randn(300, 4), torch.randint(3, (300,))
    with pytest.raises(UserError, match="the damping is too small for factors in the precision"):
        wn.score(model, "mlprune", batch=(x, y), loss_fn=CE, damping=1e-30)
    assert wn.score(model, "mlprune", batch=(x, y), loss_fn=CE)["1.weight"].isfinite().all()


def test_many_weights_go_together_or_one_by_one() -> None:
    """Dense: Δ on the kept K is F⁻¹ on K times F between K and the removed R; or a sum over R."""
    model, batch = perceptron(), data(20, 4)
    found = factors_of(model, batch)
    layer: Any = model[0]  # type: ignore[index]
    full = torch.cat([layer.weight, layer.bias[:, None]], 1).detach()
    keep = torch.rand(5, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    kept = torch.cat([keep, torch.ones(5, 1, dtype=torch.bool)], 1).flatten()
    inverse = dense_inverse(found, "0.weight", 0.01)
    fisher, w = torch.linalg.inv(inverse), full.flatten()
    together = -w * ~kept
    together[kept] = torch.linalg.solve(fisher[kept][:, kept], fisher[kept][:, ~kept] @ w[~kept])
    alone = -inverse[:, ~kept] @ (w[~kept] / inverse.diagonal()[~kept])
    for joint, expected in ((True, together), (False, alone)):
        mask = Mask({"0.weight": keep})
        changes = changes_of(model, batch, mask, damping=0.01, joint=joint)
        change = torch.cat([changes["0.weight"], changes["0.bias"][:, None]], 1).flatten()
        assert torch.allclose(change, expected, rtol=1e-6, atol=1e-9)


def test_the_surgeon_solves_least_squares() -> None:
    """When the residuals of the fit are uncorrelated and of equal size, G ∝ I and the update is
    that of the least squares under the constraint, one removed weight in each row."""
    torch.manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(40, 7).double())
    x, e = q[:, :4] @ torch.randn(4, 4).double(), q[:, 4:]  # e ⟂ x, eᵀe = I
    layer = nn.Linear(4, 3, bias=False).double()
    y = x @ layer.weight.detach().T + e

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs - targets) ** 2).sum(1).mean() / 2

    keep = torch.ones(3, 4, dtype=torch.bool)
    keep[0, 1] = keep[1, 3] = keep[2, 0] = False
    scores = wn.score(layer, "mlprune", batch=(x, y), loss_fn=loss, damping=1e-20)["weight"]
    before, factor = float(loss(layer(x), y).detach()), 1 / 40  # G = eᵀe/40 = I/40
    operate(layer, Mask({"weight": keep}), "mlprune", batch=(x, y), loss_fn=loss, damping=1e-20)
    for row, own in enumerate(keep):
        best = torch.linalg.lstsq(x[:, own], y[:, row]).solution
        assert torch.allclose(layer.weight[row, own], best, rtol=1e-6, atol=1e-9)
    assert not layer.weight[~keep].any()
    risen = float(loss(layer(x), y).detach()) - before
    # The loss rises by half the scores, times 1/factor as its Hessian is I ⊗ A, not G ⊗ A.
    assert risen == pytest.approx(float(scores[~keep].sum()) / 2 / factor, rel=1e-6)


def test_a_convolution_over_one_position_is_a_linear_layer() -> None:
    linear = seeded(lambda: nn.Linear(6, 4))
    x, y = data(9, 6, classes=4)
    expected = wn.score(linear, "mlprune", batch=(x, y), loss_fn=CE)["weight"]
    for conv, shape in ((nn.Conv1d(2, 4, 3), (2, 3)), (nn.Conv2d(1, 4, (2, 3)), (1, 2, 3))):
        model = nn.Sequential(conv, nn.Flatten()).double()
        conv.weight.data, conv.bias.data = linear.weight.data.view_as(conv.weight), linear.bias.data  # type: ignore[operator, union-attr]
        scores = wn.score(model, "mlprune", batch=(x.view(9, *shape), y), loss_fn=CE)["0.weight"]
        assert torch.allclose(scores.view(4, 6), expected, rtol=1e-9)


def test_uses_of_a_tied_weight_are_positions() -> None:
    """A layer applied to two rows of an example is a convolution over two positions."""
    x, y = data(8, 2, 4)
    layer = seeded(lambda: nn.Linear(4, 3, bias=False))

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = layer, nn.Linear(4, 3, bias=False)
            self.second.weight = layer.weight

        def forward(self, x: Tensor) -> Tensor:
            return (self.first(x[:, 0]) + self.second(x[:, 1])).tanh()  # type: ignore[no-any-return]

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = layer

        def forward(self, x: Tensor) -> Tensor:
            return self.first(x).sum(1).tanh()  # type: ignore[no-any-return]

    twice = wn.score(Twice(), "mlprune", batch=(x, y), loss_fn=CE)
    assert list(twice) == ["first.weight"]
    rows = wn.score(Rows(), "mlprune", batch=(x, y), loss_fn=CE)
    assert torch.allclose(twice["first.weight"], rows["first.weight"], rtol=1e-9)


def test_the_models_own_fisher() -> None:
    """For logits z of a softmax, E[δδᵀ] = diag(p) − ppᵀ."""
    layer = seeded(lambda: nn.Linear(3, 3))
    x = data(1, 3)[0].expand(20000, -1)
    with unchanged(layer):
        given = subject(
            layer, (x, torch.zeros(20000).long()), generator=torch.Generator().manual_seed(0)
        )
        (found,) = kronecker_factors(given, "model").values()
    p = layer(x[:1])[0].softmax(0).detach()
    assert found.g is not None
    assert (found.g[0] - (p.diag() - torch.outer(p, p))).abs().max() < 5 * 0.25 / 20000**0.5
    with pytest.raises(UserError, match="needs a generator"):
        wn.score(layer, "mlprune", batch=(x, None), loss_fn=CE, fisher="model")


def test_frozen_biases_are_no_part_of_the_factor() -> None:
    model, batch = perceptron(), data(6, 4)
    model[0].bias.requires_grad_(False)  # type: ignore[index]
    found = factors_of(model, batch)
    assert found["0.weight"].a is not None
    assert found["0.weight"].a.shape == (1, 4, 4)
    assert found["2.weight"].a is not None
    assert found["2.weight"].a.shape == (1, 6, 6)


def test_a_layer_without_gradient_scores_zero_and_is_not_updated() -> None:
    model, batch = perceptron(), data(6, 4)
    nn.init.zeros_(model[2].weight)  # type: ignore[index]
    scores = wn.score(model, "mlprune", batch=batch, loss_fn=CE)
    assert not scores["0.weight"].any()
    mask = Mask({"0.weight": torch.rand(5, 4) < 0.5})
    assert changes_of(model, batch, mask) == {}


def test_updating_beats_removing() -> None:
    torch.manual_seed(0)
    model = seeded(lambda: nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3)))
    x = torch.randn(300, 8).double()
    y = (x[:, :3] + 0.5 * torch.randn(300, 3).double()).argmax(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        CE(model(x), y).backward()
        optimizer.step()
    scores = wn.score(model, "mlprune", batch=(x, y), loss_fn=CE)
    mask = wn.prune(scores, density=0.7)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    with wn.sparsify(model, mask):
        removed = float(CE(model(x), y).detach())
    model.load_state_dict(before)
    operate(model, mask, "mlprune", batch=(x, y), loss_fn=CE)
    assert all(not model.get_parameter(n)[~mask[n]].any() for n in mask)
    assert float(CE(model(x), y).detach()) < removed


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (perceptron(), {"damping": 0}, "damping is 0: give a positive number"),
        (perceptron(), {"fisher": "modle"}, "unknown fisher 'modle'. Did you mean 'model'"),
        (
            perceptron(),
            {"params": "*.bias"},
            "'0.bias', '2.bias': no such layers' weights. Choose others",
        ),
        (
            nn.ConvTranspose1d(4, 3, 1),
            {},
            "'weight': no such layers' weights. Choose others with params=",
        ),
        (perceptron(), {"loader": []}, "the loader is empty"),
    ],
)
def test_bad_input(model: nn.Module, options: dict[str, Any], said: str) -> None:
    given = {"loader": [data(4, 4)], "loss_fn": CE, **options}
    with pytest.raises(UserError, match=said):
        wn.score(model, "mlprune", **given)


def test_nan_is_said() -> None:
    x, y = data(4, 4)
    with pytest.raises(UserError, match="a factor is NaN or infinite"):
        wn.score(perceptron(), "mlprune", batch=(x * float("inf"), y), loss_fn=CE)
