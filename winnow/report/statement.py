"""A statement, as a value: what the report claims."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """A heading, its sentences, and the numbers behind them (header first; may be empty)."""

    heading: str
    sentences: tuple[str, ...]
    numbers: tuple[tuple[str, ...], ...] = ()
