"""One word, one meaning: a public name is defined once in the package."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "winnow"

HOMONYMS = {
    "aten": "torch.ops.aten, of which type checkers know nothing: a line in each file of calls",
    "ENTRIES": "the kernels of a file: engine/sparse_cpu/kernels/groups.py compiles them together",
    "SparseCallback": "integrations: the adapter of each trainer, taken from its own module",
}
"""Names that several files define, each with the reason why."""


def public_names(tree: ast.Module) -> set[str]:
    """The names that a module defines at its top level, without those that begin with _."""
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def test_definitions_are_seen() -> None:
    tree = ast.parse("A = 1\nb: int = 2\n_c = 3\ndef d(): e = 4\nclass F: g = 5\nfrom h import i")
    assert public_names(tree) == {"A", "b", "d", "F"}


def test_a_public_name_is_defined_once() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in public_names(ast.parse(path.read_text("utf-8"))):
            places[name].append(path.relative_to(PACKAGE).as_posix())
    several = {name: where for name, where in places.items() if len(where) > 1}
    assert {n: w for n, w in several.items() if n not in HOMONYMS} == {}
    assert HOMONYMS.keys() <= several.keys(), "a name that is defined once needs no reason"
