"""What the hash of kernels covers: all that compiled code can depend on, and nothing else."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic

import winnow
from winnow.kernels.cache import key
from winnow.kernels.sources import KERNEL_FOLDERS, code_hash

PACKAGE = Path(winnow.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

KERNEL = '''"""A module."""

SCALE = 2.0  # of the result


@kernel
def scaled(x, out):
    """out = SCALE x."""
    for i in range(x.size):
        out[i] = SCALE * x[i]
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of kernels beside a file of something else."""
    kernels = tmp_path / "kernels"
    kernels.mkdir()
    (kernels / "scaled.py").write_text(KERNEL)
    (tmp_path / "planning.py").write_text("SLABS = 3\n")
    return kernels


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# of the result", "# of all that comes out"),
        ('"""A module."""', '"""A module, explained at length.\n\nIn two parts.\n"""'),
        ('"""out = SCALE x."""', '"""The input times `SCALE`."""'),
        ('    """out = SCALE x."""\n', ""),
        ("SCALE * x[i]\n", "(SCALE * x[i])\n"),
        ("\n\n\n@kernel", '\n"""Documented."""\n\n\n\n@kernel'),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(
    folder: Path, before: str, after: str
) -> None:
    was = key([folder])
    assert before in KERNEL
    (folder / "scaled.py").write_text(KERNEL.replace(before, after))
    assert key([folder]) == was


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2.0", "2.5"),
        ("SCALE * x[i]", "SCALE + x[i]"),
        ("x[i]", "x[0]"),
        ("@kernel", "@inlined"),
        ("range(x.size)", "range(1, x.size)"),
        ("SCALE = 2.0", 'SCALE = "2.0"'),
    ],
)
def test_code_changes_the_key(folder: Path, before: str, after: str) -> None:
    was = key([folder])
    (folder / "scaled.py").write_text(KERNEL.replace(before, after))
    assert key([folder]) != was


def test_names_of_files_change_the_key_and_other_folders_do_not(folder: Path) -> None:
    was = key([folder])
    (folder.parent / "planning.py").write_text("SLABS = 4\n")
    assert key([folder]) == was
    (folder / "scaled.py").rename(folder / "doubled.py")
    assert key([folder]) != was


def test_the_key_is_that_of_the_folders_of_kernels() -> None:
    names = [path.relative_to(PACKAGE).as_posix() for path in KERNEL_FOLDERS]
    assert names == ["kernels", "engine/sparse_cpu/kernels", "deployment/runtime/kernels"]
    assert all(list(path.glob("*.py")) for path in KERNEL_FOLDERS)
    assert key() == key(KERNEL_FOLDERS)
    assert code_hash(KERNEL_FOLDERS) != code_hash(KERNEL_FOLDERS[:1])


# ---- whatever is compiled lies in these folders


def is_hashed(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in KERNEL_FOLDERS)


PLAIN = {"W", "TILE", "WIDTHS", "vector_width", "Floats", "Int32s", "Int64s"}
PLAIN |= {"CORNER", "NO_FLOATS", "aligned", "padded", "prepare", "key", "EntryPoint", "Buffers"}
PLAIN |= {"Values", "NO_HALVES", "aligned_halves"}


def compiled_names(tree: ast.AST) -> set[str]:
    """What a file imports or uses that compiles, or can only be used in what is compiled."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("numba"):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names if a.name.startswith("numba.")}
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "numba":
            names |= {f"numba.{node.attr}"} - {"numba.__version__"}
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("winnow.kernels"):
            modules = {path.stem for path in KERNEL_FOLDERS[0].glob("*.py")}
            names |= {alias.name for alias in node.names} - PLAIN - modules
    return names


def test_nothing_is_compiled_elsewhere() -> None:
    for path in SOURCES:
        if not is_hashed(path):
            assert not compiled_names(ast.parse(path.read_text("utf-8"))), path


@pytest.mark.parametrize(
    "line",
    [
        "from numba import njit",
        "from numba.extending import intrinsic",
        "import numba.core",
        "import numba\nnumba.njit(print)",
        "from winnow.kernels.compile import kernel",
        "from winnow.kernels.simd import operation",
    ],
)
def test_compiling_elsewhere_would_be_seen(line: str) -> None:
    assert compiled_names(ast.parse(line))


def modules() -> list[ModuleType]:
    """All modules in the folders of kernels."""
    paths = [path for path in SOURCES if is_hashed(path) and path.stem != "__init__"]
    names = [path.relative_to(PACKAGE.parent).with_suffix("").parts for path in paths]
    return [importlib.import_module(".".join(name)) for name in names]


def entries() -> list[tuple[ModuleType, Any]]:
    return [(module, entry) for module in modules() for entry in getattr(module, "ENTRIES", ())]


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def called(function: Any) -> Iterator[Any]:
    """What a compiled function takes from its globals and closures."""
    python = function.py_func if isinstance(function, Dispatcher) else function._defn
    for code in codes(python.__code__):
        yield from (python.__globals__.get(name) for name in code.co_names)
    yield from (cell.cell_contents for cell in python.__closure__ or ())


def test_all_that_an_entry_point_reaches_is_hashed() -> None:
    waiting = [entry.kernel for _, entry in entries()]
    seen = set()
    while waiting:
        function = waiting.pop()
        if isinstance(function, Dispatcher | _Intrinsic) and function not in seen:
            seen.add(function)
            waiting.extend(called(function))
    assert {"train_chain", "multiply_tile", "add_product"} <= {f.__name__ for f in seen}
    for function in seen:
        python = function.py_func if isinstance(function, Dispatcher) else function._defn
        assert is_hashed(Path(python.__code__.co_filename)), function


# ---- whatever is compiled is used


def python_calls(tree: ast.AST) -> Iterator[str]:
    """Names that functions use which Python runs, those of compiled functions left out."""
    for node in ast.iter_child_nodes(tree):
        compiled = isinstance(node, ast.FunctionDef) and any(
            ast.unparse(decorator).split("(")[0] in ("kernel", "inlined", "named_kernel")
            for decorator in node.decorator_list
        )
        if compiled or isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ENTRIES":
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        yield from python_calls(node)


def test_every_entry_point_is_called() -> None:
    used = {name for path in SOURCES for name in python_calls(ast.parse(path.read_text("utf-8")))}
    assert len(entries()) > 30
    for module, entry in entries():
        names = {
            name
            for name, value in vars(module).items()
            if value is entry.kernel or (isinstance(value, dict) and entry.kernel in value.values())
        }
        assert names & used, f"{entry.name} is compiled, and nothing calls it"


def test_entry_points_have_names_of_their_own() -> None:
    """Their files in the cache are named by them."""
    names = [entry.name for _, entry in entries()]
    assert len(set(names)) == len(names)
