"""Which optimizer of a wrapper runs the hooks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from winnow.errors import UserError
from winnow.wrapped import StepCalls, found_inf, held_by, hookable, optimizers_listed


class Bare(torch.optim.Optimizer):
    """As accelerate's: an optimizer by its class alone, with neither hooks nor parameters."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    @property
    def param_groups(self) -> Any:  # type: ignore[override]
        return self.optimizer.param_groups


class Around(torch.optim.Optimizer):
    """An optimizer around another that runs hooks of its own."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(optimizer.param_groups, {})
        self.optimizer = optimizer


def sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)


def test_the_outermost_first_and_only_those_that_run_hooks() -> None:
    inner = sgd()
    around = Around(inner)
    assert hookable(inner) == [inner]
    assert hookable(Bare(inner)) == [inner]
    assert hookable(Bare(Bare(inner))) == [inner]
    assert hookable(around) == [around, inner]
    assert hookable(Bare(around)) == [around, inner]


def test_nothing_that_runs_hooks() -> None:
    class Own:
        param_groups: Any = ()

    itself: Any = Own()
    itself.optimizer = itself
    without: Any
    for without in (Own(), Bare(Own()), itself):
        with pytest.raises(UserError, match=f"{type(without).__name__} runs no step hooks"):
            hookable(without)


def test_one_or_several_or_none() -> None:
    one, other = sgd(), Bare(sgd())
    assert optimizers_listed(None) == []
    assert optimizers_listed(one) == [one]
    assert optimizers_listed(other) == [other]
    assert optimizers_listed((one, other)) == [one, other]
    assert held_by([one, other]) == {
        id(p) for o in (one, other) for g in o.param_groups for p in g["params"]
    }


def test_infinite_gradients_that_a_fused_step_leaves_out() -> None:
    optimizer: Any = sgd()
    assert not found_inf(optimizer)
    optimizer.found_inf = torch.tensor([0.0])
    assert not found_inf(optimizer)
    optimizer.found_inf = torch.tensor([1.0])
    assert found_inf(optimizer)


class Nested(torch.optim.SGD):
    """Its step is hooked, and so is the one that it calls."""

    fails = False

    def step(self, closure: Any = None) -> Any:
        found = super().step(closure)
        if self.fails:
            raise RuntimeError("mine")
        return found


def test_a_step_within_a_step_and_one_that_failed() -> None:
    sgd()  # from now on SGD's own step runs hooks, too
    optimizer = Nested(nn.Linear(2, 2).parameters(), lr=0.1)
    calls, seen = StepCalls(), []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append(calls.enter(o)))
    optimizer.register_step_post_hook(lambda o, *_: seen.append(calls.leave(o)))
    optimizer.step()
    assert seen == [True, False, False, True]
    optimizer.fails = True
    with pytest.raises(RuntimeError, match="mine"):
        optimizer.step()
    assert seen[4:] == [True, False, False]
    optimizer.fails = False
    optimizer.step()
    assert seen[7:] == [True, False, False, True]
