"""SparseGPT on whole networks: layer after layer, in order, on what comes in by then."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scored_networks import convolutional, data, perceptron, seeded
from slow_sparsegpt import best, best_of_rows, hessian, slowly
from torch import Tensor, nn

import winnow as wn
from winnow.criteria import Subject, traits
from winnow.criteria.traits import Pruned
from winnow.errors import UserError


class Backwards(nn.Module):
    """Runs its layers in another order than it holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, 4)
        self.first = nn.Linear(12, 8)
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(torch.tanh(self.norm(self.first(x)))))  # type: ignore[no-any-return]


def two_of_four(first: int, last: int, costs: Tensor) -> Tensor:  # noqa: ARG001
    return best_of_rows(costs, 2)


def half_of_each_row(first: int, last: int, costs: Tensor) -> Tensor:
    return best_of_rows(costs, (last - first) // 2)


def test_each_layer_is_calibrated_on_what_the_pruned_ones_before_make_of_the_data() -> None:
    model = seeded(Backwards)
    x = data(40, 12)[0]
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    masks, weights = {}, {}
    masks["first.weight"], weights["first.weight"] = slowly(
        start["first.weight"], hessian(x, 0.01), two_of_four, 4
    )
    with torch.no_grad():  # in evaluation mode: running statistics of the start, no dropout
        norm = (x @ weights["first.weight"].T + start["first.bias"]) / (1 + 1e-5) ** 0.5
    masks["last.weight"], weights["last.weight"] = slowly(
        start["last.weight"], hessian(torch.tanh(norm), 0.01), two_of_four, 4
    )
    model.train()
    loader = [(x[:15], None), (x[15:], None)]
    mask = wn.prune_trained(model, "sparsegpt", pattern="2:4", loader=loader)
    for name in masks:
        assert torch.equal(mask[name], masks[name])
        found = model.get_parameter(name)
        assert torch.allclose(found, weights[name], atol=1e-9)
        assert not found[~mask[name]].any()
    assert list(mask) == ["last.weight", "first.weight"], "in the order of the model"
    assert torch.equal(model.first.bias, start["first.bias"])  # type: ignore[union-attr]
    assert model.training
    assert model.drop.training  # type: ignore[union-attr]
    assert not model.norm.running_mean.any(), "statistics are as they were"  # type: ignore[union-attr,operator]


@pytest.mark.parametrize("size", [5, 128])
def test_a_density_is_shared_out_over_blocks_of_columns(size: int) -> None:
    model, (x, _) = perceptron(12, 5, 4), data(30, 12)
    start = model.get_parameter("0.weight").detach().clone()

    def choose(first: int, last: int, costs: Tensor) -> Tensor:
        so_far = [int(0.4 * 5 * end + 0.5) for end in (first, last)]
        return best(costs, so_far[1] - so_far[0])

    kept, expected = slowly(start, hessian(x, 0.1), choose, min(size, 12))
    mask = wn.prune_trained(
        model, "sparsegpt", density=0.4, batch=(x, None), damping=0.1, blocksize=size
    )
    assert torch.equal(mask["0.weight"], kept)
    assert torch.allclose(model.get_parameter("0.weight"), expected, atol=1e-9)
    assert mask.kept_per_layer == {"0.weight": round(0.4 * 60), "2.weight": round(0.4 * 20)}


def test_convolutions_in_groups() -> None:
    """Each group is a layer of its own on its own channels, patches by torch's unfold."""
    model = convolutional(normal=False)
    x = data(6, 2, 8, 8)[0]
    with torch.no_grad():
        hidden = torch.tanh(model[0](x))  # type: ignore[index]
    start = model[3].weight.detach().clone()  # type: ignore[index,union-attr]
    mask = wn.prune_trained(
        model, "sparsegpt", density=0.5, scope="row", batch=(x, None), params="3.weight"
    )
    assert mask["3.weight"].flatten(1).sum(1).tolist() == [9] * 6
    for group in (0, 1):
        patches = nn.functional.unfold(hidden[:, 2 * group : 2 * group + 2], 3)
        inputs = patches.transpose(1, 2).reshape(-1, 18)
        rows = slice(3 * group, 3 * group + 3)
        kept, expected = slowly(start[rows].flatten(1), hessian(inputs, 0.01), half_of_each_row, 18)
        assert torch.equal(mask["3.weight"][rows].flatten(1), kept)
        found = model[3].weight[rows].flatten(1)  # type: ignore[index,union-attr]
        assert torch.allclose(found, expected, atol=1e-9)


def test_attention() -> None:
    """The three projections of in_proj_weight and out_proj, each as a layer of its own."""
    model = seeded(lambda: nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True))
    x = data(6, 5, 8)[0]
    attention = model.self_attn
    start = {name: p.detach().clone() for name, p in attention.named_parameters()}  # type: ignore[union-attr]
    mask = wn.prune_trained(model, "sparsegpt", pattern="2:4", batch=(x, None))
    assert len(mask) == 4
    rows = x.reshape(-1, 8)
    kept, moved = slowly(start["in_proj_weight"], hessian(rows, 0.01), two_of_four, 4)
    assert torch.equal(mask["self_attn.in_proj_weight"], kept)
    assert torch.allclose(attention.in_proj_weight, moved, atol=1e-9)  # type: ignore[union-attr,arg-type]
    q, k, v = (rows @ moved.T).reshape(6, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
    attended = ((q @ k.mT / 2).softmax(3) @ v).transpose(1, 2).reshape(-1, 8)
    _, last = slowly(start["out_proj.weight"], hessian(attended, 0.01), two_of_four, 4)
    assert torch.allclose(attention.out_proj.weight, last, atol=1e-9)  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize(
    "how",
    [
        {"pattern": "1:4"},
        {"density": 0.3},
        {"density": 0.3, "scope": "row"},
        {"density": 0.25, "block": (2, 2)},
        {"density": {"0.weight": 0.5}},
    ],
)
def test_it_harms_a_network_less_than_magnitude_at_the_same_counts(how: dict[str, Any]) -> None:
    x = data(200, 16)[0]
    x = x @ data(16, 16, seed=1)[0]  # inputs that have to do with each other
    outputs = perceptron(16, 32, 4)(x).detach()
    harms, counts = [], []
    for criterion in ("sparsegpt", "magnitude"):
        model = perceptron(16, 32, 4)
        given = {"scope": "layer", **how} if criterion == "magnitude" else how
        mask = wn.prune_trained(model, criterion, batch=(x, None), **given)
        harms.append(float((model(x).detach() - outputs).square().mean()))
        counts.append(mask.kept_per_layer)
    assert harms[0] < 0.9 * harms[1]
    assert counts[0] == counts[1]


def test_several_rounds_and_masks_never_revive() -> None:
    model, batch = perceptron(8, 8, 4), data(50, 8)
    first = wn.prune_trained(model, "sparsegpt", pattern="3:4", batch=batch)
    second = wn.prune_trained(model, "sparsegpt", pattern="1:4", batch=batch, mask=first, rounds=2)
    assert (first & second) == second
    assert (second["0.weight"].reshape(-1, 4).sum(1) == 1).all()
    assert all(not model.get_parameter(n)[~second[n]].any() for n in second)
    with pytest.raises(UserError, match="cannot keep"):
        wn.prune_trained(model, "sparsegpt", density=0.9, batch=batch, mask=second)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for how in ({"pattern": "2:4"}, {"density": 0.5, "scope": "row"}):
        with pytest.raises(UserError, match=r"of '0\.weight' \[8, 8\]: it has [12] left"):
            wn.prune_trained(model, "sparsegpt", batch=batch, mask=second, **how)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    with pytest.raises(UserError, match="is in one of them only"):
        wn.prune_trained(model, "sparsegpt", density=0.1, batch=batch, mask=second, params="0.*")


def test_the_surgeon_moves_the_survivors_of_any_mask() -> None:
    """``wn.operate``: as the loops, layer after layer, for a mask that magnitude has chosen."""
    model, (x, _) = perceptron(12, 8, 4), data(40, 12)
    mask = wn.prune(wn.score(model, "magnitude"), density=0.5)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    _, first = slowly(
        start["0.weight"], hessian(x, 0.01), lambda a, b, _: mask["0.weight"][:, a:b], 12
    )
    hidden = torch.tanh(x @ first.T + start["0.bias"])
    _, second = slowly(
        start["2.weight"], hessian(hidden, 0.01), lambda a, b, _: mask["2.weight"][:, a:b], 8
    )
    wn.operate(model, mask, "sparsegpt", batch=(x, None))
    assert torch.allclose(model.get_parameter("0.weight"), first, atol=1e-9)
    assert torch.allclose(model.get_parameter("2.weight"), second, atol=1e-9)
    assert all(not model.get_parameter(n)[~mask[n]].any() for n in mask)


def test_as_a_score_it_is_the_cost_of_each_weight_alone() -> None:
    model, (x, _) = perceptron(6, 5, 3), data(30, 6)
    scores = wn.score(model, "sparsegpt", batch=(x, None))
    h = hessian(x, 0.01)
    weight = model.get_parameter("0.weight").detach()
    for j in range(6):
        cost = weight[:, j] ** 2 / torch.linalg.inv(h[j:, j:])[0, 0]
        assert torch.allclose(scores["0.weight"][:, j], cost, rtol=1e-9)
    at_once = wn.prune_trained(model, "sparsegpt", density=0.5, batch=(x, None), sequential=False)
    assert at_once == wn.prune(scores, density=0.5, scope="layer")


def test_low_precision_models() -> None:
    """bfloat16 weights are pruned in float32, and come back as bfloat16."""
    model = perceptron(8, 8, 4).bfloat16()
    x = data(50, 8)[0].bfloat16()
    mask = wn.prune_trained(model, "sparsegpt", pattern="2:4", batch=(x, None))
    assert mask.density == 0.5
    weight = model.get_parameter("0.weight")
    assert weight.dtype == torch.bfloat16
    assert int(weight.count_nonzero()) == 32


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"density": 0.5, "scope": "global", "sequential": True},
            "scope 'global' lets layers comp",
        ),
        ({"density": 0.5, "sequential": 1}, "sequential is 1"),
        ({"density": 0.5, "damping": -1}, "damping is -1"),
        ({"density": 0.5, "blocksize": 0}, "blocksize is 0"),
        ({"density": 0.5, "dampling": 1}, "Did you mean 'damping'"),
        ({"density": 0.5, "scope": "row", "least": 9}, "below least=9"),
        ({"pattern": "2:3"}, "no multiple of 3"),
        ({"density": 0.5, "ignore": "*"}, "nothing to prune"),
        ({}, "density is None"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], words: str) -> None:
    model, batch = perceptron(8, 4, 2), data(20, 8)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with pytest.raises(UserError, match=words):
        wn.prune_trained(model, "sparsegpt", batch=batch, **arguments)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_what_has_no_order_of_layers_is_told() -> None:
    model, batch = perceptron(), data(20, 4)
    with pytest.raises(UserError, match="magnitude does not prune layer by layer"):
        wn.prune_trained(model, "magnitude", density=0.5, scope="layer", sequential=True)
    with pytest.raises(UserError, match="pass one of them"):
        wn.prune_trained(model, "sparsegpt", density=0.5, batch=batch, loader=[batch])


def test_a_function_of_ones_own_prunes_layer_by_layer() -> None:
    """It adds what a row loses to what stays, and is asked for the next layer when that is done."""
    seen = []

    def shared(subject: Subject, choices: Any, *, share: float = 1.0) -> Any:
        for name, weight in subject.weights.items():
            seen.append({n: int(w.count_nonzero()) for n, w in subject.weights.items()})
            keep = choices[name].keep(weight.abs())
            lost = (weight * ~keep).sum(1, keepdim=True)
            yield Pruned(name, keep, share * lost / keep.sum(1, keepdim=True) * keep)

    @traits(examples="none", scope="row", layerwise=shared)
    def mine(subject: Subject, *, share: float = 1.0) -> dict[str, Tensor]:  # noqa: ARG001
        return {name: weight.detach().abs() for name, weight in subject.weights.items()}

    model = perceptron(4, 4, 2)
    sums = {n: p.detach().sum(1) for n, p in model.named_parameters() if p.dim() == 2}
    mask = wn.prune_trained(model, mine, pattern="2:4", share=1.0)
    assert seen == [{"0.weight": 16, "2.weight": 8}, {"0.weight": 8, "2.weight": 8}]
    for name in mask:
        assert torch.allclose(model.get_parameter(name).sum(1), sums[name])
        assert int(model.get_parameter(name).count_nonzero()) == mask.kept_per_layer[name]

    def nothing(subject: Subject, choices: Any) -> Any:  # noqa: ARG001
        return iter(())

    @traits(layerwise=nothing)
    def forgetful(subject: Subject) -> dict[str, Tensor]: ...  # type: ignore[empty-body]

    with pytest.raises(UserError, match="forgetful has pruned nothing of"):
        wn.prune_trained(model, forgetful, density=0.5, scope="layer")
