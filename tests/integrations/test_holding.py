"""Before a step and after it, in loops with closures and without."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer

import winnow as wn
from winnow.errors import UserError
from winnow.integrations.holding import Changing, Fixed, holders, is_held, unwrapped, zero_removed
from winnow.mask import Mask

X = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 5))


def sgd(model: nn.Module) -> SGD:
    return SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)


def driven(model: nn.Module, optimizer: Optimizer, method: str = "rigl") -> Changing:
    made = wn.dynamic(
        model, method, optimizer=optimizer, density=0.5, steps="20it", every="2it", ignore=[]
    )
    return Changing(made)


@pytest.mark.parametrize("method", ["rigl", "set"])
@pytest.mark.parametrize("closure", ["none", "by place", "by name"])
def test_a_step_that_somebody_else_makes(closure, method):
    expected = network()
    its = sgd(expected)
    own = wn.dynamic(
        expected, method, optimizer=its, density=0.5, steps="20it", every="2it", ignore=[]
    )
    for x in X:
        its.zero_grad()
        expected(x).square().sum().backward()
        own.step()

    model = network()
    optimizer = sgd(model)
    held = driven(model, optimizer, method)
    for x in X:

        def closed(x=x):
            optimizer.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            held.before_step(optimizer)
            return loss

        if closure == "none":
            closed()
            optimizer.step()
        else:
            given = optimizer.step(closed) if closure == "by place" else optimizer.step(
                closure=closed
            )  # fmt: skip
            assert given is not None
    assert held.made == own.made == 6
    assert held.mask == own.mask
    pairs = zip(model.parameters(), expected.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


class Restless(SGD):
    """Decays all parameters, whether they have a gradient or not."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.mul_(0.9)


def test_an_optimizer_that_moves_without_gradients_is_told():
    model = network()
    optimizer = Restless(model.parameters(), lr=0.1)
    held = driven(model, optimizer)
    model(X[0]).square().sum().backward()
    held.before_step(optimizer)
    with pytest.raises(UserError, match="Restless moves parameters that have no gradient"):
        optimizer.step()


def test_lbfgs_is_refused_with_a_method_and_serves_a_mask_that_stays():
    model = network()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1)
    with pytest.raises(UserError, match="LBFGS evaluates the loss several times"):
        driven(model, optimizer)
    mask = wn.prune(wn.score(model, "magnitude"), density=0.5)
    held = Fixed(model, mask, [optimizer])

    def closed():
        optimizer.zero_grad()
        loss = model(X[0]).square().sum()
        loss.backward()
        return loss

    optimizer.step(closed)
    assert held.made == 1
    assert zero_removed(model, mask) == 0
    held.close()
    optimizer.step(closed)
    assert held.made == 1


def test_another_optimizer_than_the_methods_is_none_of_its_business():
    model = network()
    optimizer = sgd(model)
    held = driven(model, optimizer)
    before = held.mask
    model(X[0]).square().sum().backward()
    held.before_step(SGD([nn.Parameter(torch.zeros(2))], lr=0.1))
    assert held.mask == before
    assert held.made == 0


def test_wrappers_are_opened_and_holders_found():
    class Wrapper:
        def __init__(self, optimizer):
            self.optimizer = optimizer
            self.param_groups = optimizer.param_groups

    model, other = network(), network()
    one, two = sgd(model), sgd(other)
    assert unwrapped(Wrapper(Wrapper(one))) is one
    assert unwrapped(one) is one
    assert holders([Wrapper(one), two], model.parameters()) == [one]
    assert holders([two], model.parameters()) == []


def test_a_held_optimizer_is_seen_until_it_is_let_go():
    model = network()
    optimizer = sgd(model)
    assert not is_held(optimizer)
    fixed = Fixed(model, Mask.dense({"0.weight": model[0].weight}), [optimizer])
    assert is_held(optimizer)
    fixed.close()
    assert not is_held(optimizer)
    method = driven(model, optimizer)
    assert is_held(optimizer)
    method.close()
    assert not is_held(optimizer)


def test_revived_weights_are_counted_and_zeroed():
    model = network()
    mask = wn.prune(wn.score(model, "magnitude"), density=0.5)
    removed = mask.size - mask.kept
    assert zero_removed(model, mask) == removed
    assert zero_removed(model, mask) == 0
    with torch.no_grad():
        model[0].weight[~mask["0.weight"]] = 2.0
    assert zero_removed(model, mask) == int((~mask["0.weight"]).sum())


def test_gradual_says_what_it_has_not_reached():
    model = network()
    optimizer = sgd(model)
    held = driven(model, optimizer, "gradual")
    assert held.short_of == 0.5
    for _ in range(15):
        optimizer.step()
    assert held.short_of is None
    assert held.mask.density == 0.5
