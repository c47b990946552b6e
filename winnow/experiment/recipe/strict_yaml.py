"""YAML without its surprises: ``1e-3`` is a number, ``no`` is a word, and no key stands twice."""

from __future__ import annotations

import re
from typing import Any

import yaml

from winnow.errors import UserError, repeated
from winnow.experiment.recipe.limits import check_limits

_OTHER = (":float", ":bool", ":timestamp", ":merge")  # resolved otherwise, or plain words


_FLOAT = r"(?:[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?|[-+]?\.inf|\.nan)$"


def _unique_mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key_node, value in node.value:
        key, line = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise UserError(f"line {line}: the key {repeated(key)} is no word: write it in quotes")
        if key in found:
            raise UserError(f"line {line}: the key {repeated(key)} stands twice")
        found[key] = loader.construct_object(value, deep=True)
    return found


def _strict(base: Any) -> Any:
    """A loader in which ``1e-3`` is a number, only true and false are booleans, and keys are
    unique.
    """
    strict: Any = type("_Strict", (base,), {})
    strict.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(_OTHER)]
        for first, resolvers in base.yaml_implicit_resolvers.items()
    }
    strict.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(_FLOAT), list("-+.0123456789")
    )
    strict.add_implicit_resolver(
        "tag:yaml.org,2002:bool", re.compile("(?:true|false)$"), list("tf")
    )
    strict.add_constructor("tag:yaml.org,2002:map", _unique_mapping)
    return strict


_LOADER = _strict(yaml.SafeLoader)
_QUICK = _strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # libyaml, where PyYAML has it


_SLOWLY = 16 * 1024  # characters that are read without libyaml in a part of a second


def parse_yaml(text: str, where: str) -> Any:
    """YAML text as plain values. Raises UserError with ``where`` and the line, and for what is
    beyond the limits of recipes (`winnow.experiment.recipe.limits`).

    libyaml reads ten times faster; what it refuses is read once more where it is short, so that
    what is said of it (and whether anything is) does not depend on whether it is there.
    """
    try:
        return _read(text, _QUICK)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    except (yaml.YAMLError, ValueError) as error:
        if len(text) > _SLOWLY:
            raise _invalid(where, error) from None
    try:
        return _read(text, _LOADER)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise _invalid(where, error) from None


def _read(text: str, loader: Any) -> Any:
    check_limits(text, loader)
    return yaml.load(text, loader)


def _invalid(where: str, error: Exception) -> UserError:
    """What is said of text that is no YAML, of a number such as 0x_, or of half a character."""
    return UserError(f"{where} is no valid YAML: {error}")
