"""What torch runs for want of a kernel, in words."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from winnow.engine.sparse_cpu.graph.trace import TracedNode


def torch_notes(nodes: list[TracedNode], in_torch: Collection[str]) -> list[str]:
    """What torch runs for want of a kernel, in words."""
    return [
        f"run in torch: {_said(node)}"
        for node in nodes
        if node.in_torch and f"{node.name}.weight" not in in_torch and node.traced.op != "get_attr"
    ]


def _said(node: TracedNode) -> str:
    if node.module is not None:
        return f"{node.name} ({type(node.module).__name__})"
    target = node.traced.target
    return f"{node.name} ({target if isinstance(target, str) else _path(target)})"


def _path(function: Any) -> str:
    name = getattr(function, "__name__", str(function))
    module = getattr(function, "__module__", None) or "torch"
    return f"{module}.{name}"
