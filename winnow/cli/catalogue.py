"""``winnow recipes`` and ``winnow methods``: what there is to run."""

from __future__ import annotations

from typing import Annotated

import typer


def recipes_command(
    items: Annotated[
        bool, typer.Option("--items", help="List the papers' figures and tables instead.")
    ] = False,
) -> None:
    """List the recipes that come with Winnow."""
    from winnow.cli.describe.items import describe_items
    from winnow.experiment.recipe.load import load_recipe
    from winnow.experiment.recipe.names import shipped

    names = shipped()
    width = max(map(len, names))
    titled = (f"{name:<{width}}  {load_recipe(name).title}" for name in names)
    for line in describe_items() if items else titled:
        print(line)


def methods_command(
    name: Annotated[
        str | None, typer.Argument(metavar="[METHOD]", help="Show its formula and options.")
    ] = None,
) -> None:
    """List the methods that experiments compare, or show one."""
    from winnow.algorithms.catalogue import find_method
    from winnow.cli.describe.methods import describe_method, describe_methods

    lines = describe_methods() if name is None else describe_method(find_method(name))
    for line in lines:
        print(line)
