"""The criteria on moments of per-example gradients, against loops over examples in float64."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import winnow as wn
from winnow.criteria import CRITERIA
from winnow.errors import UserError


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(1)
    return torch.randn(11, 2, 6, 6, generator=draw), torch.randint(3, (11,), generator=draw)


def gradients(model, batch):
    """Every example's own gradient of the weights, (examples, …), in evaluation mode."""
    exact = copy.deepcopy(model).double().eval()
    weights = {"0.weight": exact[0].weight, "4.weight": exact[4].weight}
    rows = []
    for x, y in zip(*batch, strict=True):
        loss = F.cross_entropy(exact(x.double()[None]), y[None])
        rows.append(torch.autograd.grad(loss, list(weights.values())))
    each = {n: torch.stack(g) for n, g in zip(weights, zip(*rows, strict=True), strict=True)}
    return {name: weight.detach() for name, weight in weights.items()}, each


def trained(model, batch):
    model(2 * batch[0] + 1)  # statistics that are not those of the data
    return model.eval()


@pytest.mark.parametrize("power", [1.0, 0.5, 2])
def test_data_dependent(model, batch, power):
    weights, each = gradients(trained(model, batch), batch)
    scores = wn.score(model, "data-dependent", batch=batch, loss_fn=F.cross_entropy, power=power)
    for name, weight in weights.items():
        expected = weight.abs() * each[name].abs().mean(0) ** power
        torch.testing.assert_close(scores[name].double(), expected, rtol=1e-4, atol=1e-7)


def test_data_dependent_without_gradient_is_magnitude(model, batch):
    trained(model, batch)
    scores = wn.score(model, "data-dependent", batch=batch, loss_fn=F.cross_entropy, power=0)
    for name, magnitude in wn.score(model, "magnitude").items():
        assert torch.equal(scores[name], magnitude)


def test_obd(model, batch):
    weights, each = gradients(trained(model, batch), batch)
    scores = wn.score(model, "obd", batch=batch, loss_fn=F.cross_entropy)
    for name, weight in weights.items():
        expected = weight**2 * (each[name] ** 2).mean(0) / 2
        torch.testing.assert_close(scores[name].double(), expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("criterion", ["data-dependent", "obd"])
def test_a_loader_in_batches_gives_the_same(model, batch, criterion):
    trained(model, batch)
    loader = list(zip(*(t.split(4) for t in batch), strict=True))
    whole = wn.score(model, criterion, batch=batch, loss_fn=F.cross_entropy)
    parts = wn.score(model, criterion, loader=loader, loss_fn=F.cross_entropy)
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name], rtol=1e-4, atol=1e-8)


def test_at_initialisation_the_statistics_are_those_of_the_data(model, batch):
    before = copy.deepcopy(model.state_dict())
    found = wn.score(model, "obd", batch=batch, loss_fn=F.cross_entropy)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model[1].momentum == 0.1
    assert model[1].training
    seen = model[0](batch[0]).detach()
    model[1].running_mean = seen.mean((0, 2, 3))
    model[1].running_var = seen.var((0, 2, 3))
    expected = wn.score(model, "obd", batch=batch, loss_fn=F.cross_entropy, statistics="running")
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-9)


def test_statistics_on_request_only_once_there_are_some(model, batch):
    trained(model, batch)

    def scores(**options):
        return wn.score(model, "obd", batch=batch, loss_fn=F.cross_entropy, **options)["0.weight"]

    assert torch.equal(scores(), scores(statistics="running"))
    assert not torch.allclose(scores(), scores(statistics="data"))


def test_what_is_missing_is_named(model, batch):
    for criterion in ("data-dependent", "obd"):
        assert criterion in CRITERIA
        with pytest.raises(UserError, match=f"{criterion}' needs data"):
            wn.score(model.eval(), criterion, loss_fn=F.cross_entropy)
        with pytest.raises(UserError, match=f"{criterion}' needs a loss"):
            wn.score(model.eval(), criterion, batch=batch, statistics="running")
    with pytest.raises(UserError, match=r"walks the data twice.*statistics='running'"):
        wn.score(model, "obd", loader=iter([batch]), loss_fn=F.cross_entropy)
    with pytest.raises(UserError, match=r"unknown statistics 'run'.*'running'"):
        wn.score(model, "obd", batch=batch, loss_fn=F.cross_entropy, statistics="run")
