"""A network's graph as JSON, and back: nothing in it is code, and nothing in it is run by name
alone.

A file may ask for ATen functions that change nothing and read no file, for getitem, and for
arithmetic on sizes; anything else is refused.
"""

from __future__ import annotations

import keyword
import math
import operator
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

from winnow.errors import UserError

_PYTHON = {
    f"operator.{f.__name__}": f
    for f in (
        operator.getitem, operator.add, operator.sub, operator.mul, operator.floordiv,
        operator.mod, operator.neg, operator.truediv, operator.pow,
        operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
    )
} | {"math.ceil": math.ceil, "math.floor": math.floor, "torch.sym_max": torch.sym_max,
     "torch.sym_min": torch.sym_min, "torch.sym_float": torch.sym_float,
     "torch.sym_not": torch.sym_not, "torch.sym_int": torch.sym_int}  # fmt: skip
_PATH = re.compile(r"[\w-]+(\.[\w-]+)*")  # of a constant: names of modules and of a tensor
_NAMES = {function: name for name, function in _PYTHON.items()}
_KINDS: Mapping[str, type] = {
    "dtype": torch.dtype,
    "layout": torch.layout,
    "memory_format": torch.memory_format,
}


def to_json(graph: fx.Graph) -> list[dict[str, Any]]:
    """A list of nodes. UserError for an operation that no file may hold, by name."""
    for node in graph.nodes:
        _check_names(node.op, str(node.target), node.kwargs)
    return [
        {
            "name": node.name,
            "op": node.op,
            "target": _name_of(node),
            "args": _plain(node.args),
            "kwargs": {name: _plain(value) for name, value in node.kwargs.items()},
        }
        for node in graph.nodes
    ]


def from_json(nodes: Any) -> fx.Graph:
    """The graph that `to_json` wrote. UserError for whatever it would not have written."""
    graph = fx.Graph()
    made: dict[str, fx.Node] = {}
    try:
        for entry in nodes:
            name, op, target = (str(entry[key]) for key in ("name", "op", "target"))
            if op not in ("placeholder", "get_attr", "call_function", "output") or name in made:
                raise UserError(f"its graph has a node {name!r} of kind {op!r}")
            args = tuple(_value(one, made) for one in entry["args"])
            kwargs = {str(key): _value(one, made) for key, one in entry["kwargs"].items()}
            _check_names(op, target, kwargs)
            called: Any = _function(target) if op == "call_function" else target
            made[name] = graph.create_node(op, called, args, kwargs, name)
        graph.lint()
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, RecursionError) as error:
        raise UserError(f"its graph is damaged ({type(error).__name__}: {error})") from error
    return graph


def allowed(target: Any) -> bool:
    """Whether a file may call a function."""
    if target in _NAMES:
        return True
    schema = getattr(target, "_schema", None)
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten" or not schema:
        return False
    reads = any("file" in argument.name for argument in schema.arguments)
    return not schema.is_mutable and not reads and bool(schema.returns)


def _check_names(op: str, target: str, kwargs: Mapping[str, Any]) -> None:
    """UserError for a name that would be more than that in a line of Python.

    `torch.fx` writes names into the source that it compiles, as they are.
    """
    plain = [*kwargs, *([target] if op == "placeholder" else [])]
    wrong = [name for name in plain if not name.isidentifier() or keyword.iskeyword(name)]
    if op == "get_attr" and not _PATH.fullmatch(target):
        wrong.append(target)
    if wrong:
        raise UserError(f"its graph has the name {wrong[0]!r}, which no deployed file may hold")


def _name_of(node: fx.Node) -> str:
    if node.op != "call_function":
        return str(node.target)
    if not allowed(node.target):
        raise UserError(
            f"the network calls {node.target}, which a deployed file cannot hold: only ATen "
            "functions without side effects can be saved. Use format='torch' or 'onnx'"
        )
    return _NAMES.get(node.target) or str(node.target)  # type: ignore[arg-type]


def _function(name: str) -> Any:
    if name in _PYTHON:
        return _PYTHON[name]
    parts = name.split(".")
    found: Any = None
    if len(parts) == 3 and parts[0] == "aten":
        found = getattr(getattr(torch.ops.aten, parts[1], None), parts[2], None)
    if found is None or not allowed(found):
        raise UserError(f"its graph calls {name!r}, which no deployed network may")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, torch.device):
        return {"device": "cpu"}  # wherever it was captured
    for kind, known in _KINDS.items():
        if isinstance(value, known):
            return {kind: str(value).removeprefix("torch.")}
    raise UserError(f"the network has an argument {value!r}, which a deployed file cannot hold")


def _value(plain: Any, made: Mapping[str, fx.Node]) -> Any:
    if isinstance(plain, list):
        return [_value(one, made) for one in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, value),) = plain.items()
    if kind == "node":
        return made[value]
    if kind == "float":
        return float(value)
    if kind == "device":
        return torch.device("cpu")
    found = getattr(torch, value)
    if not isinstance(found, _KINDS[kind]):
        raise UserError(f"its graph names {value!r} as a {kind}")
    return found
