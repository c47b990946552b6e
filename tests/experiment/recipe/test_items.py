"""The papers' figures and tables: that none is missing, and that recipes can name no other."""

from __future__ import annotations

import pytest

from winnow.errors import UserError
from winnow.experiment.recipe.items import ITEMS, check_items
from winnow.experiment.recipe.load import check_recipe

FIGURES = {"lth": 45, "stabilizing": 12, "grasp": 3, "data-dependent": 9, "jackpots": 7}
TABLES = {"grasp": 5, "jackpots": 4}
PLAIN = {
    "data": {"name": "digits"},
    "model": {"name": "lenet-300-100"},
    "train": {"steps": "1it", "batch": 1, "optimizer": "adam"},
}


def test_every_figure_and_table_of_the_five_papers():
    expected = {f"{paper}/{n}" for paper, most in FIGURES.items() for n in range(1, most + 1)}
    expected |= {f"{paper}/table-{n}" for paper, most in TABLES.items() for n in range(1, most + 1)}
    assert set(ITEMS) == expected
    assert len(ITEMS) == 85
    assert all(item.id == name and item.title for name, item in ITEMS.items())


def test_titles_stand_by_the_figures_that_they_are_of():
    """A title that is missing or too many would shift those behind it."""
    assert "dropout" in ITEMS["lth/6"].title
    assert "iteration 0" in ITEMS["lth/18"].title
    assert "noise" in ITEMS["lth/25"].title
    assert ITEMS["lth/45"].title == "VGG-19: iterations of warm-up"
    assert "SNIP" in ITEMS["stabilizing/9"].title
    assert "Tiny-ImageNet" in ITEMS["grasp/table-4"].title
    assert "ResNet-20: accuracy" in ITEMS["data-dependent/7"].title


def test_an_unknown_one_is_refused_by_name():
    check_items(["lth/7", "grasp/table-1"])
    with pytest.raises(UserError, match=r"'lth/46'.*winnow recipes --items"):
        check_items(["lth/7", "lth/46"])


def test_a_recipe_names_no_other_figure():
    plain = PLAIN | {"train": PLAIN["train"] | {"optimizer": {"name": "adam", "lr": 0.1}}}
    assert check_recipe(plain | {"figures": ["lth/7"]}, "x").figures == ("lth/7",)
    with pytest.raises(UserError, match="unknown figure or table 'grasp/table-6'"):
        check_recipe(plain | {"figures": ["grasp/table-6"]}, "x")
