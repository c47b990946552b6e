"""Numbers as papers print them."""

from __future__ import annotations

import pytest

from winnow.experiment.recipe.paper_number import PaperNumber


def number(**fields):
    return PaperNumber.model_validate({"mean": 1.0, "n": 3, **fields})


def test_a_spread_is_two_ends_or_what_stands_behind_plus_minus() -> None:
    assert number().half_spread is None
    assert number(spread=0.6, kind="sd").half_spread == 0.6
    assert number(spread=[20.0, 21.5], kind="range").half_spread == 0.75


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"spread": [2, 1], "kind": "sd"}, "smaller end first"),
        ({"spread": 0.5, "kind": "range", "n": 11}, "2 to 10 runs, and n is 11"),
        ({"spread": 0.5, "kind": "range", "n": 1}, "2 to 10 runs, and n is 1"),
        ({"kind": "sd"}, "go together"),
        ({"n": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_read_is_refused(fields, told) -> None:
    with pytest.raises(ValueError, match=told):
        number(**fields)
