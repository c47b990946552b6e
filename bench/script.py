"""What the benches share: their arguments, ``--smoke``, and results by family of processors."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from family import family

from winnow.files import write_whole

LEAST = 9
"""Turns of every side, at least."""


def arguments(about: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring, with ``--smoke``."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--smoke", action="store_true", help="seconds, tiny settings, no file: does it still run?"
    )
    return parser


def add_turns(parser: argparse.ArgumentParser, default: int = LEAST) -> None:
    """``--turns``: fewer than `LEAST` are an error, as their median says little."""
    parser.add_argument("--turns", type=_turns, default=default, help=f"of each side, >= {LEAST}")


def _turns(text: str) -> int:
    if not text.isdecimal() or int(text) < LEAST:
        raise argparse.ArgumentTypeError(f"{text} is not enough: {LEAST} turns or more")
    return int(text)


def parse(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, smoke: Mapping[str, Any]
) -> argparse.Namespace:
    """What is asked for; with ``--smoke`` the values of ``smoke`` in place of others."""
    asked = parser.parse_args(argv)
    if asked.smoke:
        vars(asked).update(smoke)
    return asked


def kept(file: Path) -> dict[str, Any]:
    """The results of machines of this family; empty before the first."""
    own: dict[str, Any] = all_kept(file).get(family(), {})
    return own


def all_kept(file: Path) -> dict[str, dict[str, Any]]:
    """The results of all families: family -> what a bench answered there."""
    answers: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    return answers


def keep(answer: Mapping[str, Any], file: Path, asked: argparse.Namespace) -> None:
    """Write the results beside those of other families, in place of this family's.

    Not those of a smoke run, which measures nothing.
    """
    if asked.smoke:
        return
    answers = all_kept(file) | {family(): dict(answer)}
    write_whole(file, json.dumps(dict(sorted(answers.items())), indent=1) + "\n")


def alone(file: str, *argv: str) -> str:
    """What a script prints in a process of its own, where only its own memory counts."""
    command = [sys.executable, file, *argv]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
