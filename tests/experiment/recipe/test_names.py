"""What recipes are called: by figure, by an old name; and which figures have one."""

from __future__ import annotations

import pytest

from winnow.errors import UserError
from winnow.experiment.recipe import names
from winnow.experiment.recipe.items import ITEMS
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.recipe.names import (
    OLD_NAMES,
    Called,
    called,
    recipes_of_items,
    shipped,
    shipped_figures,
)

WHOLE = ("lth", "stabilizing", "grasp", "data-dependent", "jackpots")
"""Papers all of whose figures have a recipe."""


def test_shipped_names_are_in_the_order_of_their_numbers():
    lth = [name for name in shipped() if name.startswith("lth/")]
    assert lth[:3] == ["lth/1", "lth/2", "lth/4"]
    assert lth.index("lth/9") < lth.index("lth/10") < lth.index("lth/digits")


@pytest.mark.parametrize("name", shipped())
def test_figures_are_read_as_the_whole_recipe_has_them(name):
    assert shipped_figures(name) == load_recipe(name).figures


def test_the_figures_that_have_a_recipe():
    having = recipes_of_items()
    assert list(having) == list(ITEMS)
    assert having["lth/12"] == ("lth/4",)
    assert having["lth/1"][0] == "lth/1"
    assert set(having["lth/1"]) == {"lth/1", "lth/4", "lth/5"}
    whole = {item for item in ITEMS if item.partition("/")[0] in WHOLE and not ITEMS[item].reason}
    assert not {item for item in whole if not having[item]}


def test_a_figure_means_the_recipe_that_has_it():
    assert called("lth/12") == Called("lth/4")
    assert called("lth/24") == Called("lth/15")
    assert called("lth/1") == Called("lth/1"), "the one named so, of three"
    assert called("lth/4") == Called("lth/4")
    assert called("compare/digits") == Called("compare/digits")
    assert called("some/path.yaml") == Called("some/path.yaml")


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_an_old_name_means_a_recipe_and_lines_that_there_are(old, new):
    assert called(old) == new
    assert old not in shipped()
    assert set(new.lines) <= set(load_recipe(new.recipe).lines)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Recipes of our own in place of the shipped ones."""
    for name, figures in (("a", "[lth/7, lth/8]"), ("b", "[lth/8, lth/9]"), ("9", "[lth/9]")):
        (tmp_path / "lth").mkdir(exist_ok=True)
        (tmp_path / "lth" / f"{name}.yaml").write_text(f"title: x\nfigures: {figures}\n")
    monkeypatch.setattr(names, "_folder", lambda: tmp_path)


@pytest.mark.usefixtures("folder")
def test_a_figure_of_several_recipes_is_asked_for_by_recipe():
    assert called("lth/7") == Called("lth/a")
    assert called("lth/9") == Called("lth/9")
    assert recipes_of_items()["lth/9"] == ("lth/9", "lth/b")
    with pytest.raises(UserError, match="lth/8 is part of lth/a and lth/b: name one of them"):
        called("lth/8")


@pytest.mark.usefixtures("folder")
def test_a_figure_of_no_recipe_says_so():
    with pytest.raises(UserError, match=r"lth/10 .*continued training.*: no recipe"):
        called("lth/10")
