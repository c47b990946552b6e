"""What is wrong with a recipe, in words: field, value, what is allowed, an example."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from winnow.errors import repeated, unknown

_Model = type[BaseModel]
_MANY = 20  # faults that are told one by one
_LONG = 100  # characters of a key that are repeated


def faults(error: ValidationError, checked: _Model) -> list[str]:
    """Each fault that was found in values for ``checked`` once, on a line; the first ones, and how
    many there are.
    """
    found, count = error.errors(include_url=False), error.error_count()
    lines = list(dict.fromkeys(_in_words(fault, checked) for fault in found[:_MANY]))
    return [*lines, f"and {count - _MANY} more"] if count > _MANY else lines


def _in_words(fault: ErrorDetails, checked: _Model) -> str:
    path = [str(part) for part in fault["loc"] if _is_key(part)]
    field = ".".join(part[:_LONG] for part in path)
    if fault["type"] == "extra_forbidden":
        return _unknown_key(path, checked)
    if fault["type"] == "missing":
        return f"{field} is missing{_example(path, checked)}"
    cause = fault.get("ctx", {}).get("error")
    if fault["type"] == "value_error" and isinstance(cause, ValueError):
        return f"{field} {cause}" if str(cause).startswith("is ") else f"{field}: {cause}"
    return f"{field} is {repeated(fault['input'])}: {fault['msg'].lower()}{_example(path, checked)}"


def _is_key(part: object) -> bool:
    """Whether a part of a fault's location is a key or an index (not a type's name)."""
    text = str(part)
    return not re.search(r"[\[(]|^(str|int|float|function-.*|literal|tuple|constrained-.*)$", text)


def _unknown_key(path: Sequence[str], checked: _Model) -> str:
    *folders, key = path
    owner = _owner(folders, checked)
    names = sorted(info.alias or name for name, info in owner.model_fields.items())
    whole = [".".join([*folders, name]) for name in names]
    return str(unknown("key", ".".join([*folders, key]), whole, f"Valid here: {', '.join(names)}"))


def _owner(folders: Sequence[str], checked: _Model) -> _Model:
    """The part of a recipe that a path of keys leads to."""
    owner = checked
    for folder in folders:
        field = _field(owner, folder)
        types = [t for t in _types(field.annotation) if isinstance(t, type)] if field else []
        owner = next((t for t in types if issubclass(t, BaseModel)), owner)
    return owner


def _types(annotation: Any) -> list[Any]:
    return [annotation, *(t for arg in get_args(annotation) for t in _types(arg))]


def _field(owner: _Model, name: str) -> Any:
    return next(
        (info for key, info in owner.model_fields.items() if name in (key, info.alias)), None
    )


def _example(path: Sequence[str], checked: _Model) -> str:
    field = _field(_owner(path[:-1], checked), path[-1]) if path else None
    examples = _examples(field) if field else []
    return f" (e.g. {', '.join(map(_yaml, examples))})" if examples else ""


def _examples(field: Any) -> list[Any]:
    """Those of the field itself, else those of its types."""
    nested = [
        example
        for part in [*_types(field.annotation), field]
        for meta in getattr(part, "__metadata__", getattr(part, "metadata", ()))
        for example in getattr(meta, "examples", None) or []
    ]
    return field.examples or nested


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, default_flow_style=True)).removesuffix("\n...\n").strip()
