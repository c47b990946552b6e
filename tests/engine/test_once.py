"""What is found out about a network is found once where builds compare by value, and else anew."""

from __future__ import annotations

import dataclasses
import functools

import pytest
from torch import nn

from winnow.engine.once import once


@dataclasses.dataclass(frozen=True)
class Linear:
    width: int

    def __call__(self):
        return nn.Linear(self.width, 1)


@pytest.fixture
def counted():
    calls = []

    @once
    def find(build, scale):
        calls.append(build)
        return build().in_features * scale

    return find, calls


def test_equal_values_are_looked_at_once_for_the_same_options(counted):
    find, calls = counted
    assert [find(Linear(3), 2), find(Linear(3), 2)] == [6, 6]
    assert len(calls) == 1
    assert [find(Linear(4), 2), find(Linear(3), 5)] == [8, 15]
    assert len(calls) == 3


def test_any_other_callable_may_build_another_network_next_time(counted):
    find, calls = counted
    width = [3]
    for build in (
        lambda: nn.Linear(width[0], 1),
        functools.partial(lambda: nn.Linear(width[0], 1)),
    ):
        width[0] = 3
        assert find(build, 1) == 3
        width[0] = 4
        assert find(build, 1) == 4
    assert len(calls) == 4
