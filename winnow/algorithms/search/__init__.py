"""Mask search with frozen weights: edge-popup, supermasks, lottery jackpots.

`method` has the methods, `driven` prepares them for an engine, `loop` runs them in plain torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from winnow.algorithms.search.method import EdgePopup, Jackpot, SearchMethod, Supermask
from winnow.errors import UserError, unknown

SEARCH_METHODS: Mapping[str, type[SearchMethod]] = {
    kind.name: kind for kind in (EdgePopup, Supermask, Jackpot)
}


def make_search(name: str, density: float | None = None, **options: Any) -> SearchMethod:
    """The method called ``name`` with its options. UserError for an unknown name or option, and
    for a missing density.
    """
    if name not in SEARCH_METHODS:
        raise unknown(
            "mask search", str(name), SEARCH_METHODS, f"Searches are {', '.join(SEARCH_METHODS)}"
        )
    made: Any = SEARCH_METHODS[name]
    valid = {field.name: field.default for field in fields(made)}
    for option in options:
        if option not in valid:
            raise unknown(
                f"option of {name}:", option, valid, f"Its options are {', '.join(valid)}"
            )
    if density is None and valid["density"] is MISSING:
        raise UserError(f"{name} needs density=, e.g. 0.5")
    try:
        result: SearchMethod = made(density=density, **options)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    return result
