"""``winnow claims``: what papers state against what is finished."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from winnow.cli.changes import Changes, changing
from winnow.cli.options import StoreOption
from winnow.cli.store import read_store


@changing
def claims_command(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE...]", help="Names or paths [default: all with claims]."),
    ] = None,
    *,
    changes: Changes,
    store: StoreOption = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables in Markdown.")] = False,
    items: Annotated[
        bool, typer.Option("--items", help="Count verdicts by figure and table instead.")
    ] = False,
) -> None:
    """Judge the claims of papers by what is finished. Trains nothing."""
    from winnow.claims import judged_claims
    from winnow.experiment.recipe.names import shipped
    from winnow.report.claims.render import items_text, score_markdown, score_text
    from winnow.report.claims.score import scoreboard

    place = read_store(store)
    asked = [changes.ask(name) for name in dict.fromkeys(recipes or shipped())]
    judged = list(judged_claims(asked, place, _say, named=bool(recipes)))
    if items:
        print(items_text(judged))
        return
    board = scoreboard(judged)
    print(score_markdown(board) if markdown else score_text(board))


def _say(text: str) -> None:
    print(text, file=sys.stderr)
