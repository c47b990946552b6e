"""What the benches share: their arguments, ``--smoke``, and how they end."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from winnow.files import write_whole


def arguments(about: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring, with ``--smoke``."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--smoke", action="store_true", help="seconds, tiny settings, no file: does it still run?"
    )
    return parser


def parse(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, smoke: Mapping[str, Any]
) -> argparse.Namespace:
    """What is asked for; with ``--smoke`` the values of ``smoke`` in place of others."""
    asked = parser.parse_args(argv)
    if asked.smoke:
        vars(asked).update(smoke)
    return asked


def keep(answer: Mapping[str, Any], file: Path, asked: argparse.Namespace) -> None:
    """Write the results, but not those of a smoke run, which measures nothing."""
    if not asked.smoke:
        write_whole(file, json.dumps(answer, indent=1) + "\n")


def alone(file: str, *argv: str) -> str:
    """What a script prints in a process of its own, where only its own memory counts."""
    command = [sys.executable, file, *argv]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
