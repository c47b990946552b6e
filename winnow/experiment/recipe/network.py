"""The network that a recipe or a run names."""

from __future__ import annotations

import torch

from winnow import models
from winnow.data.facts import facts
from winnow.experiment.recipe.model import Model
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.run_parts import RunModel


def network(recipe: Recipe) -> torch.nn.Module:
    """The recipe's network without values."""
    with torch.device("meta"):
        return build_network(recipe.data.name, recipe.model)


def build_network(dataset: str, model: Model | RunModel) -> torch.nn.Module:
    """The network for the images of a dataset, with whatever weights its modules start with."""
    about = facts(dataset)
    return models.build(
        model.name,
        inputs=about.shape,
        classes=about.classes,
        hidden=model.hidden,
        width=model.width,
        dropout=model.dropout,
    )
