"""``winnow recipes`` and ``winnow methods``: what there is to run."""

from __future__ import annotations

from typing import Annotated

import typer


def recipes_command() -> None:
    """List the recipes that come with Winnow."""
    from winnow.experiment.recipe.load import load_recipe, shipped

    names = shipped()
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {load_recipe(name).title}")


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
