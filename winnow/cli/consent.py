"""What is very large begins where somebody says so: asked on a terminal, else by ``--yes``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from winnow.errors import NeedsConfirmingError, UserError

if TYPE_CHECKING:
    from winnow.experiment.plan.plan import Planned

_T = TypeVar("_T")


def asking(command: Callable[[bool], _T], yes: bool) -> _T:
    """Call a command with ``yes``; where it needs a consent that was not given, ask and call again.

    Raises UserError where there is no terminal to ask on, or the answer is no.
    """
    try:
        return command(yes)
    except NeedsConfirmingError as error:
        if not _is_terminal():
            raise UserError(
                f"{error}. Here is no terminal to ask on: type the command with --yes"
            ) from None
        print(f"winnow: {error}", file=sys.stderr)
        if not typer.confirm("Go on all the same?", default=False, err=True):
            raise UserError("nothing was begun") from None
    return command(True)


def tell_doubts(planned: Planned) -> None:
    """Say on stderr what of a recipe has no effect, or one that nobody can mean."""
    from winnow.experiment.plan.plan import doubts_in

    for doubt in doubts_in(planned):
        print(f"warning: {doubt}", file=sys.stderr)


def _is_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
