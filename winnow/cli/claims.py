"""``winnow claims``: what papers state against what is finished."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from winnow.cli.options import Only, Overrides, Replicates, StoreOption
from winnow.cli.store import read_store
from winnow.errors import UserError

if TYPE_CHECKING:
    from winnow.experiment.recipe.claims import Claim
    from winnow.experiment.store.store import Store
    from winnow.report.claims.judge import Judged


def claims_command(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE...]", help="Names or paths [default: all with claims]."),
    ] = None,
    o: Overrides = None,
    replicates: Replicates = None,
    only: Only = None,
    store: StoreOption = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables in Markdown.")] = False,
) -> None:
    """Judge the claims of papers by what is finished. Trains nothing."""
    from winnow.report.claims.render import score_markdown, score_text
    from winnow.report.claims.score import scoreboard

    place = read_store(store)
    changes = (o or (), replicates, only or ())
    board = scoreboard(list(_judged(recipes, place, *changes)))
    print(score_markdown(board) if markdown else score_text(board))


def _judged(
    named: Sequence[str] | None,
    store: Store,
    overrides: Sequence[str],
    replicates: int | None,
    only: Sequence[str],
) -> Iterator[Judged]:
    """The claims of the recipes named, else of the shipped ones, each with its verdict."""
    from winnow.experiment.recipe.load import load_recipe, shipped

    homes: dict[str, str] = {}
    for name in dict.fromkeys(named or shipped()):
        claims = load_recipe(name, overrides, replicates).claims
        if named and not claims:
            print(f"note: {name} has no claims", file=sys.stderr)
        for claim in claims:
            if claim.id in homes:
                raise UserError(f"the claim {claim.id!r} stands in {homes[claim.id]} and in {name}")
            homes[claim.id] = name
        if claims:
            yield from _of_recipe(name, claims, store, overrides, replicates, only)


def _of_recipe(
    name: str,
    claims: Sequence[Claim],
    store: Store,
    overrides: Sequence[str],
    replicates: int | None,
    only: Sequence[str],
) -> Iterator[Judged]:
    from winnow.experiments import experiments_offline
    from winnow.report import read_results
    from winnow.report.claims.judge import check_claims, judge_all

    experiments, note = experiments_offline(name, store, overrides, replicates, only)
    if note:
        print(note, file=sys.stderr)
    for experiment in experiments:
        results = read_results(experiment, store)
        if not overrides and not only:  # a changed recipe may lack what its claims compare
            check_claims(claims, results)
        yield from judge_all(results, claims=claims)
