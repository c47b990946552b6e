"""Dynamic sparse training and gradual pruning: masks that change while a network trains.

One file a method, which is its update and its citation: `rewiring` has what is usual, `exchange`
what updates are made of. `driven` runs methods on an engine, `loop` in a training loop of one's
own. ``docs/add-a-dynamic-method.md`` shows how to add one.
"""

from __future__ import annotations

from typing import Any

from winnow.algorithms.dynamic.deep_r import DeepR
from winnow.algorithms.dynamic.dsr import DSR
from winnow.algorithms.dynamic.gradual import Gradual
from winnow.algorithms.dynamic.method import DynamicMethod
from winnow.algorithms.dynamic.rigl import RigL
from winnow.algorithms.dynamic.set import SET
from winnow.algorithms.dynamic.snfs import SNFS
from winnow.algorithms.method_options import option_defaults, with_options
from winnow.errors import unknown

DYNAMIC_METHODS: dict[str, type[DynamicMethod]] = {
    method.name: method for method in (Gradual, SET, DeepR, DSR, SNFS, RigL)
}


def make_dynamic(name: str, density: float, **options: Any) -> DynamicMethod:
    """The method called ``name`` with its options. UserError for an unknown name or option."""
    return with_options(dynamic_method(name), name, density, options)


def dynamic_method(name: str) -> type[DynamicMethod]:
    """The class of the method called ``name``. UserError if there is none."""
    if name not in DYNAMIC_METHODS:
        listed = f"Dynamic methods are {', '.join(DYNAMIC_METHODS)}"
        raise unknown("dynamic method", str(name), DYNAMIC_METHODS, listed)
    return DYNAMIC_METHODS[name]


def dynamic_defaults(name: str) -> dict[str, Any]:
    """Every option of a method but its density → its default."""
    return option_defaults(dynamic_method(name))
