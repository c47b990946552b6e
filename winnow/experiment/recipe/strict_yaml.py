"""YAML without its surprises: ``1e-3`` is a number, ``no`` is a word, and no key stands twice."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import yaml

from winnow.errors import UserError

_OTHER = (":float", ":bool", ":timestamp", ":merge")  # resolved otherwise, or plain words


_FLOAT = r"(?:[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?|[-+]?\.inf|\.nan)$"


def _unique_mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for i, key in enumerate(keys):
        line = node.value[i][0].start_mark.line + 1
        if not isinstance(key, str):
            raise UserError(f"line {line}: the key {key!r} is no word: write it in quotes")
        if key in keys[:i]:
            raise UserError(f"line {line}: the key {key!r} stands twice")
    return {
        key: loader.construct_object(v, deep=True)
        for key, (_, v) in zip(keys, node.value, strict=True)
    }


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


def parse_yaml(text: str, where: str) -> Any:
    """YAML text as plain values. Raises UserError with ``where`` and the line.

    libyaml reads ten times faster; what it refuses is read once more, so that what is said of it
    (and whether anything is) does not depend on whether it is there.
    """
    with contextlib.suppress(yaml.YAMLError, UserError):
        return yaml.load(text, _QUICK)
    try:
        return yaml.load(text, _LOADER)
    except yaml.YAMLError as error:
        raise UserError(f"{where} is no valid YAML: {error}") from None
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
