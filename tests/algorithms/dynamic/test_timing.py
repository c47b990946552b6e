"""When the mask changes, and amounts of training that mean nothing."""

from __future__ import annotations

import pytest

from winnow.algorithms.dynamic.timing import Timing, timed
from winnow.errors import UserError


def test_when_the_mask_changes():
    time = Timing(begin=10, end=40, every=8, steps=50, last=47)
    assert [s for s in range(60) if time.due(s)] == [10, 18, 26, 34, 47]
    assert time.next(11, 50) == 18
    assert time.next(35, 47) == 47
    slower = Timing(begin=0, end=70, every=5, steps=80, doubled=(20, 50))
    assert [s for s in range(80) if slower.due(s)] == [0, 5, 10, 15, 20, 30, 40, 60]
    assert [s for s in range(30) if Timing(begin=0, end=10, every=5, steps=30).due(s)] == [0, 5]
    assert timed("x", 100, 10, every="2ep", begin="5it", share=0.75) == Timing(5, 75, 20, 100)
    assert timed("x", 100, 10, every="1it") == Timing(0, 100, 1, 100)
    assert timed("x", 100, 10, every="1it", begin="4it", end="4it") == Timing(4, 4, 1, 100)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: timed("x", 10, 1, every="0it"), "every is '0it'"),
        (lambda: timed("x", 10, 1, every="1it", begin="8it", end="4it"), "after its end at 4"),
        (lambda: timed("x", 10, None, every="1ep"), "every of x is '1ep': pass per_epoch="),
        (lambda: timed("x", 10, None, every="1it", begin="1ep"), "begin of x is '1ep'"),
        (lambda: timed("x", 10, None, every="1it", end="1ep"), "end of x is '1ep'"),
    ],
)
def test_amounts_that_mean_nothing(call, told):
    with pytest.raises(UserError, match=told):
        call()
