"""Mask search with frozen weights: edge-popup, supermasks, lottery jackpots.

`method` has the methods, `driven` prepares them for an engine, `loop` runs them in plain torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from winnow.algorithms.search.method import EdgePopup, Jackpot, Method, Supermask
from winnow.errors import UserError, unknown

METHODS: Mapping[str, type[Method]] = {kind.name: kind for kind in (EdgePopup, Supermask, Jackpot)}


def make(name: str, density: float | None = None, **options: Any) -> Method:
    """The method called ``name`` with its options. UserError for an unknown name or option, and
    for a missing density.
    """
    if name not in METHODS:
        raise unknown("mask search", str(name), METHODS, f"Searches are {', '.join(METHODS)}")
    made: Any = METHODS[name]
    valid = [field.name for field in fields(made)]
    for option in options:
        if option not in valid:
            raise unknown(
                f"option of {name}:", option, valid, f"Its options are {', '.join(valid)}"
            )
    if density is None and name == "edge-popup":
        raise UserError("edge-popup needs density=, e.g. 0.5")
    try:
        result: Method = made(density=density, **options)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    return result
