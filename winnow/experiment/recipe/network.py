"""The network that a recipe or a run names."""

from __future__ import annotations

import functools

import torch

from winnow import models
from winnow.data.facts import facts
from winnow.errors import UserError
from winnow.experiment.recipe.model import Model
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.run_parts import RunModel
from winnow.models.initialise import check_parts


def network(recipe: Recipe) -> torch.nn.Module:
    """The layers of the recipe's network, without values, to look at and not to change: lines and
    methods of one network are given the same. UserError for what the network does not have.
    """
    return _without_values(recipe.data.name, recipe.model, recipe.data.size)


@functools.lru_cache(maxsize=32)
def _without_values(dataset: str, model: Model, size: int | None) -> torch.nn.Module:
    with torch.device("meta"):
        built = build_network(dataset, model, size, outline=True)
    try:
        check_parts(built, model.init.head, model.norm_init)
    except UserError as error:
        raise UserError(f"model {model.name}: {error}") from None
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
