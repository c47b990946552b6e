"""The command line: one file for each group of commands, `app` puts them together.

Heavy imports are inside the commands: ``winnow --help`` imports no torch. What commands print of
plans, runs and methods is in `winnow.cli.describe`.
"""

from __future__ import annotations

import atexit
import sys

from winnow.cli.stopping import ToldExit, heeding_signals, ignore_signals, tell_stopped

__all__ = ["main"]


def main() -> None:
    """The ``winnow`` command."""
    atexit.register(ignore_signals)  # all is done by then, and Python is busy with its end
    with heeding_signals() as stopping:
        end: BaseException | None = None
        try:
            from winnow.cli.app import run_app

            run_app()
        except BaseException as error:
            end = error
            if not (stopping.number or isinstance(error, KeyboardInterrupt)):
                raise
        if not stopping.number and end is None:
            return
        # Also where something on the way has made another end of it.
        if not isinstance(end, ToldExit):
            tell_stopped()
        sys.exit(stopping.code)
