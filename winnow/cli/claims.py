"""``winnow claims``: what papers state against what is finished."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.options import LineNames, Only, Overrides, Replicates, ScaleOption, StoreOption
from winnow.cli.store import read_store
from winnow.errors import UserError

if TYPE_CHECKING:
    from winnow.experiment.recipe.claims import Claim
    from winnow.experiment.recipe.recipe import Recipe
    from winnow.experiment.store.store import Store
    from winnow.experiments import Asked
    from winnow.report.claims.judge import Judged


def claims_command(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE...]", help="Names or paths [default: all with claims]."),
    ] = None,
    o: Overrides = None,
    replicates: Replicates = None,
    only: Only = None,
    line: LineNames = None,
    scale: ScaleOption = "full",
    store: StoreOption = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables in Markdown.")] = False,
) -> None:
    """Judge the claims of papers by what is finished. Trains nothing."""
    from winnow.experiment.recipe.names import shipped
    from winnow.experiments import ask
    from winnow.report.claims.render import score_markdown, score_text
    from winnow.report.claims.score import scoreboard

    place, changes = read_store(store), (o or (), replicates, only or (), line or (), scale)
    asked = [ask(name, *changes) for name in dict.fromkeys(recipes or shipped())]
    board = scoreboard(list(_judged(asked, place, bool(recipes))))
    print(score_markdown(board) if markdown else score_text(board))


def _judged(asked: Sequence[Asked], store: Store, named: bool) -> Iterator[Judged]:
    """The claims of recipes, each with its verdict. ``named``: the user asks for these recipes."""
    homes: dict[str, str] = {}
    for one in asked:
        recipe = _at_its_scale(one, named)
        if recipe is None:
            continue
        if named and not recipe.claims:
            print(f"note: {one.recipe} has no claims", file=sys.stderr)
        for claim in recipe.claims:
            if claim.id in homes:
                raise UserError(
                    f"the claim {claim.id!r} stands in {homes[claim.id]} and in {one.recipe}"
                )
            homes[claim.id] = one.recipe
        if recipe.claims:
            yield from _of_recipe(one, recipe.claims, store)


def _at_its_scale(asked: Asked, named: bool) -> Recipe | None:
    """The recipe; None for one that nobody named and that has no such scale."""
    from winnow.experiment.recipe.load import has_scale

    return asked.load() if named or has_scale(asked.recipe, asked.scale) else None


def _of_recipe(asked: Asked, claims: Sequence[Claim], store: Store) -> Iterator[Judged]:
    from winnow.experiment.recipe.scales import FULL
    from winnow.experiments import experiments_offline
    from winnow.report import read_results
    from winnow.report.claims.judge import check_claims, judge_all

    experiments, note = experiments_offline(asked, store)
    if note:
        print(note, file=sys.stderr)
    for experiment in experiments:
        results = read_results(experiment, store)
        if not (asked.overrides or asked.only or asked.lines or asked.scale != FULL):
            check_claims(claims, results)  # others may lack what the claims compare
        yield from judge_all(results, claims=claims)
