"""Bars of text: how much of a width a number fills, to an eighth of a column."""

from __future__ import annotations

_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"
BLOCKS = f"{_FULL}{_EIGHTHS.strip()}"
"""All characters that bars of blocks are made from."""


def text_bar(value: float, most: float, width: int, *, blocks: bool = True) -> str:
    """``value`` of ``most`` as a bar of ``width`` columns; nothing for what is not above zero.

    ``blocks``: to an eighth of a column; else ``#``, to a whole one. A longer value fills the bar.
    """
    if not value > 0 or not most > 0:
        return ""
    share = min(value / most, 1.0) * width
    if not blocks:
        return "#" * round(share)
    whole, part = divmod(round(8 * share), 8)
    return _FULL * whole + (_EIGHTHS[part] if part else "")
