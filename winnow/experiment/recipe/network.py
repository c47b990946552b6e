"""The network that a recipe names."""

from __future__ import annotations

import torch

from winnow import models
from winnow.data.facts import facts
from winnow.experiment.recipe.recipe import Recipe


def network(recipe: Recipe) -> torch.nn.Module:
    """The recipe's network without values."""
    about, spec = facts(recipe.data.name), recipe.model
    with torch.device("meta"):
        return models.build(
            spec.name,
            inputs=about.shape,
            classes=about.classes,
            hidden=spec.hidden,
            width=spec.width,
            dropout=spec.dropout,
        )
