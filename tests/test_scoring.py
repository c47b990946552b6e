"""Scoring leaves no trace, and says what is missing."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import winnow as wn
from winnow.criteria import CRITERIA, Subject
from winnow.errors import UserError
from winnow.scoring import Scores

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.ReLU(), nn.Linear(6, 3)
        )


def gradient(subject: Subject, *, power: float = 1.0) -> dict[str, Tensor]:
    """|w·∂L/∂w|^power through .backward(): the rudest way to get there."""
    for x, y in subject.batches():
        subject.loss(subject.model(x), y).backward()  # type: ignore[no-untyped-call]
    return {n: (w * w.grad).abs() ** power for n, w in subject.weights.items()}  # type: ignore[operator]


def rude(subject: Subject) -> dict[str, Tensor]:
    """Leaves everything different."""
    for parameter in subject.model.parameters():
        parameter.data.abs_().neg_()
        parameter.requires_grad_(False)
    subject.model[1].running_mean = torch.full((6,), 9.0)  # type: ignore[index, union-attr]
    subject.model.eval()
    subject.model[4].bias.data = torch.zeros(3)  # type: ignore[index, union-attr]
    for x, _ in subject.batches():
        subject.model(x)
    torch.rand(3), np.random.rand(), random.random()
    return {name: weight + 1 for name, weight in subject.weights.items()}


@pytest.mark.parametrize("criterion", [gradient, rude, "magnitude"])
@pytest.mark.parametrize("masked", [False, True])
def test_everything_is_as_before(criterion: Any, masked: bool) -> None:
    model = network()
    model[2].eval()  # type: ignore[index]
    model[0].bias.requires_grad_(False)  # type: ignore[index]
    with torch.no_grad():
        model[0].weight[0, 0] = -0.0  # type: ignore[index]
    F.cross_entropy(model(X), Y).backward()
    before = copy.deepcopy(model.state_dict())
    ids = [id(tensor) for tensor in model.state_dict(keep_vars=True).values()]
    grads = [(p.grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    needs = [p.requires_grad for p in model.parameters()]
    mask = wn.Mask({"0.weight": torch.rand(6, 4) < 0.5}) if masked else None
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()

    wn.score(model, criterion, batch=(X, Y), loss_fn=F.cross_entropy, mask=mask)

    after = model.state_dict()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor)
        assert torch.equal(after[name].signbit(), tensor.signbit())
    assert [id(tensor) for tensor in model.state_dict(keep_vars=True).values()] == ids
    for parameter, (grad, value) in zip(model.parameters(), grads, strict=True):
        assert parameter.grad is grad
        assert value is None or torch.equal(grad, value)  # type: ignore[arg-type]
    assert [module.training for module in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == needs
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]


IMAGES = torch.randn(12, 2, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("criterion", "options"),
    [
        *((name, {}) for name in CRITERIA),
        ("snip", {"init": "glorot-normal", "init_seed": 1}),
        ("grasp", {"reinit_head": True}),
        ("grasp", {"keep_graph": False}),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_named_criteria_overwrite_no_parameter(
    criterion: str, options: dict[str, Any], masked: bool
) -> None:
    """They run without a copy of the parameters: neither values nor memory may change."""
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    )
    model.eval()
    before = {n: (t.data_ptr(), t.clone()) for n, t in model.state_dict().items()}
    mask = wn.prune({"4.weight": model[4].weight.detach()}, density=0.5) if masked else None
    wn.score(
        model, criterion, batch=(IMAGES, Y), loss_fn=F.cross_entropy, mask=mask,
        generator=torch.Generator().manual_seed(0), **options,
    )  # fmt: skip
    for name, tensor in model.state_dict().items():
        place, values = before[name]
        assert tensor.data_ptr() == place, name
        assert torch.equal(tensor, values), name


class Clamping(nn.Linear):
    """Writes to its weight in the forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.weight.clamp_(-0.1, 0.1)
        return super().forward(x)


def test_a_forward_pass_that_writes_to_parameters() -> None:
    model = Clamping(4, 3)
    before = model.weight.detach().clone()
    wn.score(model, gradient, batch=(X, Y), loss_fn=F.cross_entropy)
    assert torch.equal(model.weight, before)
    with pytest.raises(UserError, match="writes to its parameters"):
        wn.score(model, "snip", batch=(X, Y), loss_fn=F.cross_entropy)
    assert model.weight.requires_grad
    assert model.weight.grad is None


def test_the_model_is_put_back_after_an_error_too() -> None:
    def fails(subject: Subject) -> dict[str, Tensor]:
        rude(subject)
        raise RuntimeError("no")

    model = network()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match="no"):
        wn.score(model, fails, batch=(X, Y))
    assert all(torch.equal(model.state_dict()[n], t) for n, t in before.items())
    assert model.training


def test_a_graph_that_holds_the_weights_stays_valid() -> None:
    model = network()
    loss = F.cross_entropy(model(X), Y)
    wn.score(model, "magnitude")
    loss.backward()


def test_a_criterion_of_ones_own_with_options() -> None:
    model = network().eval()
    scores = wn.score(model, gradient, batch=(X, Y), loss_fn=F.cross_entropy, power=2)
    assert scores.criterion == "gradient"
    loss = F.cross_entropy(model(X), Y)
    weights = [model[0].weight, model[4].weight]  # type: ignore[index]
    for name, weight, g in zip(
        ("0.weight", "4.weight"), weights, torch.autograd.grad(loss, weights), strict=True
    ):
        assert torch.allclose(scores[name], (weight * g).detach() ** 2)


def test_a_loader_gives_several_batches() -> None:
    model = network().eval()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=6)
    whole = wn.score(model, gradient, batch=(X, Y), loss_fn=F.cross_entropy)
    parts = wn.score(model, gradient, loader=loader, loss_fn=F.cross_entropy)
    assert torch.allclose(parts["0.weight"], 2 * whole["0.weight"], atol=1e-6)


def test_the_mask_removes_weights_while_scoring() -> None:
    model = network()
    keep = torch.rand(6, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    scores = wn.score(model, "magnitude", mask=wn.Mask({"0.weight": keep}))
    weight = model[0].weight.detach()  # type: ignore[index]
    assert torch.equal(scores["0.weight"], (weight * keep).abs())


def test_dropout_is_decided_by_the_generators_seed() -> None:
    def scored(seed: int) -> Tensor:
        torch.rand(1)
        generator = torch.Generator().manual_seed(seed)
        return wn.score(
            network(), gradient, batch=(X, Y), loss_fn=F.cross_entropy, generator=generator
        )["0.weight"]

    assert torch.equal(scored(3), scored(3))
    assert not torch.equal(scored(3), scored(4))


def test_scores_keep_the_dtype_and_the_order() -> None:
    model = network().to(torch.bfloat16)
    scores = wn.score(model, "magnitude", params=["4.weight", "0.weight"])
    assert list(scores) == ["0.weight", "4.weight"]
    assert scores["0.weight"].dtype == torch.bfloat16
    assert not scores["0.weight"].requires_grad


def test_scores_are_a_frozen_mapping() -> None:
    scores = wn.score(network(), "magnitude")
    assert repr(scores) == "Scores(magnitude, 2 tensors, 42 weights)"
    assert len(scores) == 2
    twin = pickle.loads(pickle.dumps(scores))
    assert isinstance(twin, Scores)
    assert twin.criterion == "magnitude"
    with pytest.raises(AttributeError, match="frozen"):
        scores.criterion = "other"


def test_a_score_does_not_share_memory_with_the_weight() -> None:
    model = network()

    def weights(subject: Subject) -> dict[str, Tensor]:
        return dict(subject.weights)

    scores = wn.score(model, weights)
    with torch.no_grad():
        model[0].weight.zero_()  # type: ignore[index]
    assert scores["0.weight"].abs().sum() > 0


def bad_names(subject: Subject) -> dict[str, Tensor]:
    return {name + "x": weight for name, weight in subject.weights.items()}


def bad_shapes(subject: Subject) -> dict[str, Tensor]:
    return {name: weight[:1] for name, weight in subject.weights.items()}


def bad_kind(subject: Subject) -> dict[str, Tensor]:
    return {name: weight > 0 for name, weight in subject.weights.items()}


def needs_generator(subject: Subject) -> dict[str, Tensor]:
    subject.random()
    return {}


@pytest.mark.parametrize(
    ("criterion", "given", "said"),
    [
        ("magnitud", {}, r"unknown criterion 'magnitud'.*'magnitude'"),
        ("magnitude", {"powr": 1}, "unknown option of criterion 'magnitude': 'powr'.*no options"),
        ("random", {"sed": 1}, r"'sed'\. Did you mean 'seed'"),
        (gradient, {"powr": 2}, "Did you mean 'power'"),
        (gradient, {"loss_fn": F.cross_entropy}, "'gradient' needs data: pass batch"),
        (gradient, {"batch": (X, Y)}, "'gradient' needs a loss: pass loss_fn"),
        (gradient, {"batch": X}, r"pair \(inputs, targets\), or a mapping .*, got a Tensor"),
        (gradient, {"batch": (X, Y, Y)}, "got a tuple of 3"),
        ("magnitude", {"batch": (X, Y), "loader": [(X, Y)]}, "pass one of them"),
        (needs_generator, {}, "needs a generator"),
        (bad_names, {}, r"must return scores for \['0.weight', '4.weight'\]"),
        (bad_shapes, {}, r"scores of '0.weight' are \[1, 4\], its weight is \[6, 4\]"),
        (bad_kind, {}, "must be a float tensor, got torch.bool"),
        (3, {}, "not a int"),
        ("magnitude", {"mask": wn.Mask({"q": torch.ones(1).bool()})}, "'q'.*not there"),
        ("magnitude", {"params": "fc"}, "unknown parameter 'fc'"),
    ],
)
def test_bad_input(criterion: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        wn.score(network(), criterion, **given)
