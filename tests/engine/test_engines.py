"""The table of engines, and the names that recipes know."""

from __future__ import annotations

from typing import get_args

import pytest

from winnow.engine import ENGINES, make_engine
from winnow.errors import UserError
from winnow.experiment.recipe.recipe import Recipe


def test_every_engine_is_made_under_its_name() -> None:
    made = {name: make_engine(name).name for name in ENGINES}
    assert made == {name: "dense" if name == "auto" else name for name in ENGINES}


def test_recipes_know_the_same_names() -> None:
    assert get_args(Recipe.model_fields["engine"].annotation) == tuple(ENGINES)


def test_a_name_that_is_none() -> None:
    with pytest.raises(UserError, match=r"unknown engine 'spars'\. Did you mean 'sparse'"):
        make_engine("spars")
