"""What papers state against what is finished: the claims of recipes, judged from a store alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from winnow.errors import UserError
from winnow.experiment.recipe.load import has_scale
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.recipe.scales import FULL
from winnow.experiment.store.exported import Exported, read_exported
from winnow.experiment.store.images import FindOffline, find_offline
from winnow.experiment.store.store import Store
from winnow.experiments import Asked, experiments_offline
from winnow.report import read_results
from winnow.report.claims.judge import Judged, check_claims, judge_all


@dataclass(frozen=True)
class _ReadOnce:
    """A store, and what of it is the same for all recipes: its tables, its images."""

    store: Store
    exported: Exported
    find: FindOffline


def judged_claims(
    asked: Sequence[Asked], store: Store, say: Callable[[str], None], *, named: bool = True
) -> Iterator[Judged]:
    """The claims of recipes, each with its verdict. ``say`` is told what a reader should know.

    ``named``: somebody asks for just these recipes; else those that do not have the scale, or no
    claims, are left out in silence. Raises UserError: a claim stands in two recipes, or is about
    what its recipe does not have.
    """
    kept = _ReadOnce(store, read_exported(store.path), find_offline(store))
    homes: dict[str, str] = {}
    for one in asked:
        recipe = _at_its_scale(one, named)
        if recipe is None:
            continue
        if named and not recipe.claims:
            say(f"note: {one.recipe} has no claims")
        for claim in recipe.claims:
            if claim.id in homes:
                raise UserError(
                    f"the claim {claim.id!r} stands in {homes[claim.id]} and in {one.recipe}"
                )
            homes[claim.id] = one.recipe
        if recipe.claims:
            yield from _of_recipe(one, recipe, kept, say)


def _at_its_scale(asked: Asked, named: bool) -> Recipe | None:
    """The recipe; None for one that nobody named and that has no such scale."""
    return asked.load() if named or has_scale(asked.recipe, asked.scale) else None


def _of_recipe(
    asked: Asked, recipe: Recipe, kept: _ReadOnce, say: Callable[[str], None]
) -> Iterator[Judged]:
    experiments, note = experiments_offline(asked, kept.store, recipe, kept.find)
    if note:
        say(note)
    for experiment in experiments:
        results = read_results(experiment, kept.store, exported=kept.exported)
        if asked.scale == FULL and not (asked.overrides or asked.only or asked.lines):
            check_claims(recipe.claims, results)  # a changed recipe may lack what they compare
        yield from judge_all(results, claims=recipe.claims)
