"""Mask search with frozen weights: edge-popup, supermasks, lottery jackpots.

One file a method; `method` says what one is, `first` and `layers` have what they share. `driven`
prepares searches for an engine, `loop` runs them in plain torch. ``docs/add-a-search.md`` shows how
to add one.
"""

from __future__ import annotations

from typing import Any

from winnow.algorithms.method_options import check_options_of, option_defaults, with_options
from winnow.algorithms.search.edge_popup import EdgePopup
from winnow.algorithms.search.jackpot import Jackpot
from winnow.algorithms.search.method import SearchMethod
from winnow.algorithms.search.supermask import Supermask
from winnow.errors import UserError, unknown

SEARCH_METHODS: dict[str, type[SearchMethod]] = {
    method.name: method for method in (EdgePopup, Supermask, Jackpot)
}


def make_search(name: str, density: float | None = None, **options: Any) -> SearchMethod:
    """The method called ``name`` with its options. UserError for an unknown name or option, and
    for a missing density.
    """
    method = search_method(name)
    check_options_of(method, name, options)
    if density is None and method.needs_density:
        raise UserError(f"{name} needs density=, e.g. 0.5")
    return with_options(method, name, density, options)


def search_method(name: str) -> type[SearchMethod]:
    """The class of the method called ``name``. UserError if there is none."""
    if name not in SEARCH_METHODS:
        listed = f"Searches are {', '.join(SEARCH_METHODS)}"
        raise unknown("mask search", str(name), SEARCH_METHODS, listed)
    return SEARCH_METHODS[name]


def search_defaults(name: str) -> dict[str, Any]:
    """Every option of a method but its density → its default."""
    return option_defaults(search_method(name))
