"""``winnow recipes`` and ``winnow methods``."""

from __future__ import annotations

import pytest
from command_line import refused, winnow

from winnow.algorithms.catalogue import METHODS
from winnow.cli.describe.items import items_as_lines
from winnow.experiment.recipe.items import ITEMS, Item
from winnow.experiment.recipe.names import shipped

pytestmark = pytest.mark.usefixtures("own_environment")


def test_recipes_print_the_full_name_first():
    code, out, err = winnow("recipes")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == shipped()
    assert "Winning tickets on handwritten digits" in out


def test_items_print_the_map_of_figures():
    code, out, err = winnow("recipes", "--items")
    assert (code, err) == (0, "")
    *lines, last = out.splitlines()
    assert [line.split()[0] for line in lines] == list(ITEMS)
    told = dict(zip(ITEMS, lines, strict=True))
    assert told["lth/12"].split()[1] == "lth/4"
    assert told["lth/1"].split()[1:4] == ["lth/1,", "lth/4,", "lth/5"]
    assert told["lth/6"].endswith(ITEMS["lth/6"].title)
    without = sum("no recipe" in line for line in lines)
    assert last == f"{85 - without} of 85"


def test_a_figure_that_can_have_no_recipe_says_why():
    items = {"p/1": Item("p/1", "One"), "p/2": Item("p/2", "Two", "it is pseudo-code")}
    one, two, count = items_as_lines(items, {"p/1": ["p/x"]})
    assert one.split() == ["p/1", "p/x", "One"]
    assert two.split(maxsplit=1)[1] == "no recipe  Two (it is pseudo-code)"
    assert count == "1 of 2"


NEWER = ("wanda", "sparsegpt")  # than the comparison whose results are stored


def test_methods_print_the_full_name_first():
    code, out, err = winnow("methods")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(METHODS)
    lines = out.splitlines()
    for line, name in zip(lines, METHODS, strict=True):
        named = f"-o 'compare.methods=[random, {name}]'" if name in NEWER else f"--only {name}"
        assert f"winnow run compare/digits {named}" in line


@pytest.mark.parametrize("name", METHODS)
def test_a_method_shows_its_source_and_every_option(name):
    code, out, _ = winnow("methods", name)
    assert code == 0
    assert METHODS[name].citation in out
    assert METHODS[name].text in out
    told = {line.split()[0] for line in out.partition("defaults:\n")[2].splitlines()}
    assert "ignore" in told
    assert ("drop" in told) == (name in ("set", "snfs", "rigl"))
    assert ("per_class" in told) == (name in ("snip", "grasp"))


def test_an_unknown_method_is_answered_with_the_nearest():
    refused(winnow("methods", "rgl"), "unknown method 'rgl'. Did you mean 'rigl'?")
