"""What a forward returns, taken apart into tensors and put together again, without its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from winnow.errors import UserError


def flat(value: Any, tensors: list[Tensor]) -> Any:
    """Add the tensors of ``value`` to a list; return its structure, which JSON can hold.

    A place in the list, None, ``{"list" | "tuple": […]}`` or ``{"dict": {…}}``: a mapping of any
    class (such as transformers' ModelOutput) comes back as a dict. UserError for anything else.
    """
    if value is None:
        return None
    if isinstance(value, Tensor):
        tensors.append(value)
        return len(tensors) - 1
    if isinstance(value, Mapping):
        return {"dict": {str(name): flat(one, tensors) for name, one in value.items()}}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [flat(one, tensors) for one in value]}
    raise UserError(
        f"forward returns a {type(value).__name__}, which no file can hold: let it return tensors, "
        "or tuples, lists and dicts of them (a transformer's cache: config.use_cache = False)"
    )


def restored(structure: Any, tensors: Sequence[Any]) -> Any:
    """What `flat` took apart. Errors of many kinds for a structure that `flat` never made."""
    if structure is None:
        return None
    if isinstance(structure, int):
        return tensors[structure]
    ((kind, inside),) = structure.items()
    if kind == "dict":
        return {name: restored(one, tensors) for name, one in inside.items()}
    values = [restored(one, tensors) for one in inside]
    return {"tuple": tuple, "list": list}[kind](values)
