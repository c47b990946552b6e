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
) -> None:
    """Judge the claims of papers by what is finished. Trains nothing."""
    from winnow.claims import judged_claims
    from winnow.experiment.recipe.names import shipped
    from winnow.report.claims.render import score_markdown, score_text
    from winnow.report.claims.score import scoreboard

    place = read_store(store)
    asked = [changes.ask(name) for name in dict.fromkeys(recipes or shipped())]
    judged = judged_claims(asked, place, _say, named=bool(recipes))
    board = scoreboard(list(judged))
    print(score_markdown(board) if markdown else score_text(board))


def _say(text: str) -> None:
    print(text, file=sys.stderr)
