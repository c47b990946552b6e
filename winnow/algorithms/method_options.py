"""The options of a method that is a frozen dataclass: checked, and with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from winnow.errors import UserError, unknown
from winnow.shares import plain_number

M = TypeVar("M")


def with_options(
    method: type[M], name: str, density: float | None, options: Mapping[str, Any]
) -> M:
    """The method with its options. UserError, naming it, for an unknown option or a wrong value."""
    check_options_of(method, name, options)
    dataclass: Any = method
    try:
        numbers = {option: plain_number(value) for option, value in options.items()}
        made: M = dataclass(density=plain_number(density), **numbers)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    return made


def check_options_of(method: type[Any], name: str, options: Mapping[str, Any]) -> None:
    """UserError, with the nearest one, for an option that the method does not have."""
    valid = [field.name for field in fields(method)]
    for option in options:
        if option not in valid:
            listed = f"Its options are {', '.join(valid)}"
            raise unknown(f"option of {name}:", option, valid, listed)


def option_defaults(method: type[Any]) -> dict[str, Any]:
    """Every option but the density → its default."""
    return {field.name: field.default for field in fields(method) if field.name != "density"}
