"""The papers' figures and tables, and the recipes that reproduce them, as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from winnow.experiment.recipe.items import ITEMS, Item
from winnow.experiment.recipe.names import recipes_of_items


def describe_items() -> list[str]:
    """A line for each figure and table: its id, its recipes or why it has none, its title; then
    how many of them have a recipe.
    """
    return items_as_lines(ITEMS, recipes_of_items())


def items_as_lines(items: Mapping[str, Item], recipes: Mapping[str, Sequence[str]]) -> list[str]:
    """``items`` with the names of their ``recipes``."""
    having = {one: ", ".join(recipes.get(one, ())) for one in items}
    width = max(map(len, items))
    wide = max([len("no recipe"), *map(len, having.values())])
    lines = [
        f"{one:<{width}}  {having[one] or 'no recipe':<{wide}}  {_told(item, having[one])}"
        for one, item in items.items()
    ]
    return [*lines, f"{sum(map(bool, having.values()))} of {len(items)}"]


def _told(item: Item, recipes: str) -> str:
    return f"{item.title} ({item.reason})" if item.reason and not recipes else item.title
