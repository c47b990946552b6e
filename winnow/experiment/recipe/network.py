"""The network that a recipe or a run names."""

from __future__ import annotations

import torch

from winnow import models
from winnow.data.facts import facts
from winnow.errors import UserError
from winnow.experiment.recipe.model import Model
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.run_parts import RunModel
from winnow.models.initialise import check_parts


def network(recipe: Recipe) -> torch.nn.Module:
    """The layers of the recipe's network, without values. UserError for what it does not have."""
    with torch.device("meta"):
        built = build_network(recipe.data.name, recipe.model, recipe.data.size, outline=True)
    try:
        check_parts(built, recipe.model.init.head, recipe.model.norm_init)
    except UserError as error:
        raise UserError(f"model {recipe.model.name}: {error}") from None
    return built


def build_network(
    dataset: str, model: Model | RunModel, size: int | None = None, outline: bool = False
) -> torch.nn.Module:
    """The network for the images of a dataset, with whatever weights its modules start with.

    ``size``: pixels of a side, None for the dataset's usual ones. ``outline``: its layers will do,
    as for plans (see `models.build`).
    """
    about = facts(dataset)
    return models.build(
        model.name,
        inputs=about.inputs(size),
        classes=about.classes,
        hidden=model.hidden,
        width=model.width,
        dropout=model.dropout,
        conv_bias=model.conv_bias,
        shortcut=model.shortcut,
        outline=outline,
    )
