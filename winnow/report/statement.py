"""A statement, as a value: what the report claims."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """A heading, its sentences, and the numbers behind them (header first; may be empty).

    ``subject`` and ``reference``: the arms that it compares, where it is about two; a reference may
    be ``dense``.
    """

    heading: str
    sentences: tuple[str, ...]
    numbers: tuple[tuple[str, ...], ...] = ()
    subject: str | None = None
    reference: str | None = None
