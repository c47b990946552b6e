"""A finished figure as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Drawing:
    """A figure: a short name for its files, its caption, its bytes, and whether it has panels.

    ``item``: the paper's figure that it is laid out as, whose name its files have then.
    """

    name: str
    caption: str
    png: bytes
    svg: bytes
    wide: bool = False
    item: str = ""
