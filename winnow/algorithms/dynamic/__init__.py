"""Dynamic sparse training and gradual pruning: masks that change while a network trains.

One file a method; `exchange` has what they share, `driven` runs them on an engine, `loop` in a
training loop of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from winnow.algorithms.dynamic.deep_r import DeepR
from winnow.algorithms.dynamic.dsr import DSR
from winnow.algorithms.dynamic.gradual import Gradual
from winnow.algorithms.dynamic.method import Method
from winnow.algorithms.dynamic.rigl import RigL
from winnow.algorithms.dynamic.set import SET
from winnow.algorithms.dynamic.snfs import SNFS
from winnow.errors import UserError, unknown

METHODS: Mapping[str, type[Method]] = {
    kind.name: kind for kind in (Gradual, SET, DeepR, DSR, SNFS, RigL)
}


def make(name: str, density: float, **options: Any) -> Method:
    """The method called ``name`` with its options. UserError for an unknown name or option."""
    if name not in METHODS:
        listed = f"Dynamic methods are {', '.join(METHODS)}"
        raise unknown("dynamic method", str(name), METHODS, listed)
    made: Any = METHODS[name]
    valid = [field.name for field in fields(made)]
    for option in options:
        if option not in valid:
            listed = f"Its options are {', '.join(valid)}"
            raise unknown(f"option of {name}:", option, valid, listed)
    try:
        result: Method = made(density=density, **options)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    return result
