"""How large a text of YAML may be, before anything is made of it: size, depth, parts, digits.

Events are counted as libyaml gives them, one after the other, so that neither a deep nor an
expanding text is ever held. Aliases count as what they stand for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from winnow.errors import UserError

SIZE = 256 * 1024
"""Bytes of a recipe. The largest that comes with Winnow has 44 thousand."""

DEPTH = 32
"""Lists and mappings inside of one another."""

MOST_VALUES = 20_000
"""Values, keys, lists and mappings, those that aliases stand for included."""

CHARACTERS = 1_000_000
"""Of all texts and numbers, those that aliases stand for included."""

DIGITS = 100
"""Characters of a number."""

_NUMBER = re.compile(r"[-+.\d][-+.:\w]*")


@dataclass
class _Open:
    """A list or mapping that has begun, and what is in it so far."""

    anchor: str | None
    parts: int = 1
    characters: int = 0


def check_size(size: int) -> None:
    """UserError for more bytes or characters than a recipe may have."""
    if size > SIZE:
        raise UserError(
            f"it has {size:,} characters, and a recipe has {SIZE:,} at most: what is listed by the "
            "thousand belongs into code (docs/own-model-and-data.md)"
        )


def check_limits(text: str, loader: Any) -> None:
    """UserError, with the line, for a text beyond the limits, with a tag or with a number too long.

    YAMLError for what is no YAML.
    """
    check_size(len(text))
    whole = _Open(None)
    opened, known = [whole], dict[str, _Open]()
    events: Iterator[Any] = yaml.parse(text, loader)
    for event in events:
        line = event.start_mark.line + 1
        _check_event(event, line)
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append(_Open(event.anchor))
            if len(opened) - 1 > DEPTH:
                raise UserError(f"line {line}: values are nested deeper than {DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            _close(opened.pop(), opened[-1], known)
        elif isinstance(event, yaml.ScalarEvent):
            _close(_Open(event.anchor, 1, len(event.value)), opened[-1], known)
        elif isinstance(event, yaml.AliasEvent):
            if any(one.anchor == event.anchor for one in opened):
                raise UserError(f"line {line}: the alias *{event.anchor} stands within itself")
            _close(known.get(str(event.anchor), _Open(None)), opened[-1], {})
        _check_sum(opened, line)


def _close(part: _Open, around: _Open, known: dict[str, _Open]) -> None:
    if part.anchor is not None:
        known[part.anchor] = part
    around.parts += part.parts
    around.characters += part.characters


def _check_sum(opened: list[_Open], line: int) -> None:
    parts = sum(one.parts for one in opened)
    characters = sum(one.characters for one in opened)
    for count, most, what in (
        (parts, MOST_VALUES, "values"),
        (characters, CHARACTERS, "characters"),
    ):
        if count > most:
            raise UserError(
                f"line {line}: up to here there are more than {most:,} {what}, with all that "
                "aliases stand for: a recipe has fewer"
            )


def _check_event(event: Any, line: int) -> None:
    tag = getattr(event, "tag", None)
    if tag is not None:
        said = tag.replace("tag:yaml.org,2002:", "!!")[:40]
        raise UserError(
            f"line {line}: {said} is a tag, and recipes have none: leave it out; texts that look "
            "like numbers stand in quotes"
        )
    plain = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
    if plain and len(event.value) > DIGITS and _NUMBER.fullmatch(event.value):
        raise UserError(
            f"line {line}: a number of {len(event.value)} characters, beginning with "
            f"{event.value[:20]}…: write {DIGITS} at most, and texts in quotes"
        )
