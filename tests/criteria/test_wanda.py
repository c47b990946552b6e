"""Wanda against its formula in loops, as a score and layer by layer."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scored_networks import data, perceptron, seeded
from slow_sparsegpt import best_of_rows
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import winnow as wn
from winnow.errors import UserError


def test_scores_are_the_weight_times_the_norm_of_its_input() -> None:
    """Weight by weight: |w_ij|·√Σx_j², over two batches."""
    model = perceptron()
    x, y = data(7, 4)
    scores = wn.score(model, "wanda", loader=[(x[:4], y[:4]), (x[4:], y[4:])])
    with torch.no_grad():
        inputs = {"0.weight": x, "2.weight": model[1](model[0](x))}  # type: ignore[index]
    for name, came in inputs.items():
        weight = model.get_parameter(name)
        for i in range(weight.shape[0]):
            for j in range(weight.shape[1]):
                norm = sum(float(v) ** 2 for v in came[:, j]) ** 0.5
                expected = abs(float(weight[i, j].detach())) * norm
                assert float(scores[name][i, j]) == pytest.approx(expected, rel=1e-12)


LAYERS: list[tuple[Callable[[], nn.Module], tuple[int, ...]]] = [
    (lambda: nn.Conv2d(2, 4, (2, 3), stride=(1, 2), padding=1), (3, 2, 5, 6)),
    (lambda: nn.Conv2d(4, 6, 2, groups=2, bias=False), (3, 4, 4, 4)),
    (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2), (3, 4, 5)),
    (lambda: nn.ConvTranspose2d(2, 3, 2, stride=2, padding=1), (2, 2, 4, 4)),
]


@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_in_a_convolution_it_is_how_far_the_output_moves_with_the_weight(
    make: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    """The output is linear in the weight: ‖x‖ = ‖∂output/∂w‖, by autograd."""
    layer = seeded(make)
    x = data(*shape)[0]
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)

    def output(w: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": w}, (x,))

    jacobian = torch.autograd.functional.jacobian(output, weight.detach())
    assert isinstance(jacobian, Tensor)
    norms = jacobian.flatten(0, -1 - weight.dim()).square().sum(0).sqrt()
    scores = wn.score(layer, "wanda", batch=(x, torch.zeros(1)))
    assert torch.allclose(scores["weight"], weight.detach().abs() * norms, rtol=1e-12)


def test_weights_of_one_output_compete_unless_told_otherwise() -> None:
    model, batch = perceptron(8, 6), data(9, 8)
    scores = wn.score(model, "wanda", batch=batch)
    mask = wn.prune(scores, density=0.5)
    assert torch.equal(mask["0.weight"], best_of_rows(scores["0.weight"], 4))
    assert torch.equal(mask["2.weight"], best_of_rows(scores["2.weight"], 3))
    assert mask == wn.prune_at_init(model, "wanda", density=0.5, batch=batch)
    whole = wn.prune(scores, density=0.5, scope="global")
    assert whole == wn.prune(dict(scores), density=0.5)
    assert whole != mask


def test_layer_by_layer_each_sees_what_the_layers_before_have_become() -> None:
    model, batch = perceptron(8, 8), data(9, 8)
    w = {name: p.detach().clone() for name, p in model.named_parameters()}
    x = batch[0]
    first = best_of_rows((w["0.weight"].abs() * x.norm(dim=0)).reshape(-1, 4), 2).reshape(8, 8)
    hidden = torch.tanh(x @ (w["0.weight"] * first).T + w["0.bias"])
    second = best_of_rows((w["2.weight"].abs() * hidden.norm(dim=0)).reshape(-1, 4), 2)
    mask = wn.prune_trained(model, "wanda", pattern="2:4", batch=batch)
    assert torch.equal(mask["0.weight"], first)
    assert torch.equal(mask["2.weight"], second.reshape(3, 8))
    for name, parameter in model.named_parameters():
        kept = mask[name] if name in mask else torch.ones_like(parameter, dtype=torch.bool)
        assert torch.equal(parameter, w[name] * kept), "what stays is as it was"


def test_all_at_once_is_the_mask_of_the_scores() -> None:
    model, batch = perceptron(8, 8), data(9, 8)
    expected = wn.prune(wn.score(model, "wanda", batch=batch), pattern="1:4")
    mask = wn.prune_trained(model, "wanda", pattern="1:4", batch=batch, sequential=False)
    assert mask == expected
    assert all(not model.get_parameter(n)[~mask[n]].any() for n in mask)
    again = perceptron(8, 8)
    other = wn.prune_trained(again, "wanda", density=0.6, scope="global", batch=batch)
    assert other.kept == round(0.6 * 88)


class Alive(TorchDispatchMode):
    """How many float numbers in tensors made inside are held at a time, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._holders: Counter[int] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Any = (),
        kwargs: Any = None,
    ) -> Any:
        given = {t.untyped_storage()._cdata for t in tree_leaves(args) if isinstance(t, Tensor)}
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                storage = tensor.untyped_storage()
                if storage._cdata not in given or self._holders[storage._cdata]:
                    self._hold(tensor, storage._cdata, storage.nbytes() // tensor.itemsize)
        return found

    def _hold(self, tensor: Tensor, storage: int, size: int) -> None:
        self.now += 0 if self._holders[storage] else size
        self.peak = max(self.peak, self.now)
        self._holders[storage] += 1

        def release() -> None:
            self._holders[storage] -= 1
            self.now -= 0 if self._holders[storage] else size

        weakref.finalize(tensor, release)


@pytest.mark.parametrize("criterion", ["wanda", "sparsegpt"])
def test_no_copy_of_the_parameters_is_held(criterion: str) -> None:
    """Beside 60 layers a few layers' worth is held, and what a layer made of the data."""
    model = seeded(lambda: nn.Sequential(*[nn.Linear(32, 32) for _ in range(60)]))
    with Alive() as alive:
        wn.prune_trained(model, criterion, pattern="2:4", batch=data(64, 32))
    assert 32 * 32 < alive.peak < 20 * 32 * 32
    with Alive() as alive:
        kept = [parameter.detach().clone() for parameter in model.parameters()]
    assert alive.peak >= 60 * 32 * 32, "it can tell"
    del kept


def test_what_it_cannot_see_is_refused_before_anything_is_changed() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x)  # type: ignore[no-any-return]

    model = seeded(Unused)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for run in (wn.score, wn.prune_trained):
        given = {"density": 0.5} if run is wn.prune_trained else {}
        with pytest.raises(UserError, match="never calls the layers of 'b\\.weight'"):
            run(model, "wanda", batch=data(3, 4), **given)  # type: ignore[operator]
        with pytest.raises(UserError, match="needs data"):
            run(model, "wanda", **given)  # type: ignore[operator]
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    lstm = seeded(lambda: nn.LSTM(4, 4, num_layers=2))
    with pytest.raises(UserError, match="'weight_hh_l0' are not seen"):
        wn.score(lstm, "wanda", batch=data(3, 2, 4))
