"""The command line: one file for each group of commands, `app` puts them together.

Heavy imports are inside the commands: ``winnow --help`` imports no torch. What commands print of
plans, runs and methods is in `winnow.cli.describe`.
"""

from __future__ import annotations

from winnow.cli.app import main

__all__ = ["main"]
