"""What papers state against what is finished: the claims of recipes, judged from a store alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from winnow.errors import UserError
from winnow.experiment.recipe.claims import Claim
from winnow.experiment.recipe.load import has_scale
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.recipe.scales import FULL
from winnow.experiment.store.store import Store
from winnow.experiments import Asked, experiments_offline
from winnow.report import read_results
from winnow.report.claims.judge import Judged, check_claims, judge_all


def judged_claims(
    asked: Sequence[Asked], store: Store, say: Callable[[str], None], *, named: bool = True
) -> Iterator[Judged]:
    """The claims of recipes, each with its verdict. ``say`` is told what a reader should know.

    ``named``: somebody asks for just these recipes; else those that do not have the scale, or no
    claims, are left out in silence. Raises UserError: a claim stands in two recipes, or is about
    what its recipe does not have.
    """
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
            yield from _of_recipe(one, recipe.claims, store, say)


def _at_its_scale(asked: Asked, named: bool) -> Recipe | None:
    """The recipe; None for one that nobody named and that has no such scale."""
    return asked.load() if named or has_scale(asked.recipe, asked.scale) else None


def _of_recipe(
    asked: Asked, claims: Sequence[Claim], store: Store, say: Callable[[str], None]
) -> Iterator[Judged]:
    experiments, note = experiments_offline(asked, store)
    if note:
        say(note)
    for experiment in experiments:
        results = read_results(experiment, store)
        if asked.scale == FULL and not (asked.overrides or asked.only or asked.lines):
            check_claims(claims, results)  # a changed recipe may lack what its claims compare
        yield from judge_all(results, claims=claims)
