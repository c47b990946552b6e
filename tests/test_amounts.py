"""Amounts of training, against what they say."""

from __future__ import annotations

import pytest

from winnow.amounts import checked_steps, iterations, option_iterations
from winnow.errors import UserError


@pytest.mark.parametrize(
    ("steps", "count"), [("500it", 500), ("0it", 0), ("2ep", 94), ("0.5ep", 24), ("1.5ep", 70)]
)
def test_iterations_and_epochs(steps: str, count: int) -> None:
    """47 iterations to the epoch; halves go to the even neighbour: 23.5 to 24, 70.5 to 70."""
    assert checked_steps(steps) == steps
    assert iterations(steps, 47) == count
    assert option_iterations("set", "every", steps, 47) == count


@pytest.mark.parametrize("value", [500, "500", "it", "-1it", "1 it", "1epoch", None, "1.ep"])
def test_what_is_no_amount(value: object) -> None:
    with pytest.raises(UserError, match='write iterations as "500it" or epochs as "5ep"'):
        checked_steps(value)


def test_iterations_are_whole() -> None:
    with pytest.raises(UserError, match=r"is '1\.5it': iterations are whole, e\.g\. 1it"):
        checked_steps("1.5it")


def test_an_option_is_named_with_its_method() -> None:
    with pytest.raises(UserError, match="every is 100: write iterations"):
        option_iterations("set", "every", 100, None)
    with pytest.raises(UserError, match="every of set is '1ep': pass per_epoch="):
        option_iterations("set", "every", "1ep", None)
    assert option_iterations("set", "every", "3it", None) == 3
