"""The images that an experiment runs on, found before anything is planned or trained."""

from __future__ import annotations

from winnow.data import Unreachable, load
from winnow.data.facts import facts
from winnow.experiment.recipe import Recipe
from winnow.experiment.resolve import Source


def find_source(recipe: Recipe) -> Source:
    """Number and content of the recipe's images; fetched and decoded now if need be.

    Raises UserError: unknown data, or neither in ``$WINNOW_DATA`` nor reachable, or damaged.
    """
    images = load(recipe.data.name)
    return Source(len(images.train_y), images.content)


def find_source_or_guess(recipe: Recipe) -> tuple[Source, str | None]:
    """As `find_source`, but never fetches: data that is not here gets its usual size, and a note.

    With such a guess no run of the store can be recognised as done.
    """
    name = recipe.data.name
    try:
        images = load(name, online=False)
    except Unreachable:
        note = (
            f"{name} is not here yet: `winnow run` fetches it, or put it into $WINNOW_DATA. Until "
            "then no stored run can be recognised, and the time cannot be estimated"
        )
        return Source(facts(name).train_size, "not here"), note
    return Source(len(images.train_y), images.content), None
