"""The sources of all kernels, and a hash of what compiled code can depend on in them.

The folders below hold every function that numba compiles, and all constants that such functions
use: they import nothing else of the project (``tests/kernels/test_sources.py`` checks both). So
nothing outside them can make compiled code stale, and a change elsewhere compiles nothing anew.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]

KERNEL_FOLDERS = (
    _PACKAGE / "kernels",
    _PACKAGE / "engine" / "sparse_cpu" / "kernels",
    _PACKAGE / "deployment" / "runtime" / "kernels",
)


def code_hash(folders: Sequence[Path]) -> str:
    """The names and the code of all ``.py`` files in these folders, as a hash (hex).

    Comments, docstrings and layout change nothing in it.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            code = _code(path.read_text("utf-8")).encode()
            digest.update(f"{path.relative_to(folder).as_posix()}:{len(code)}:".encode() + code)
    return digest.hexdigest()


@functools.lru_cache(maxsize=128)
def _code(text: str) -> str:
    """The syntax tree of a source file without its docstrings, as text."""
    return ast.dump(_WithoutDocstrings().visit(ast.parse(text)))


class _WithoutDocstrings(ast.NodeTransformer):
    """Removes the statements that are nothing but a string: docstrings, those of names included."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node
