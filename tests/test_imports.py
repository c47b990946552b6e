"""The rules of the layout, checked on the import statements of every file."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "winnow"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(tree: ast.AST) -> set[str]:
    """Full names in the import statements, those inside functions included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return names


def direct(name: str) -> set[str]:
    """Modules of the project that a module imports, typing-only imports included.

    Not the package itself: it imports nothing by itself (a test below), only what is asked of it.
    """
    return imported(ast.parse(FILES[name].read_text())) & FILES.keys() - {name, "winnow"}


def reachable(name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in direct(waiting.pop()) - found:
            found.add(other)
            waiting.append(other)
    return found


def inside(name: str, *packages: str) -> bool:
    return any(name == f"winnow.{p}" or name.startswith(f"winnow.{p}.") for p in packages)


def modules_in(*packages: str) -> list[str]:
    return [name for name in FILES if inside(name, *packages)]


def test_the_walk_sees_imports() -> None:
    assert "winnow.topk" in direct("winnow.pruning")
    assert "winnow.mask" in reachable("winnow.algorithms.imp")
    tree = ast.parse("def f():\n    from winnow.engine import dense\n    import winnow.rng")
    assert {"winnow.engine", "winnow.engine.dense", "winnow.rng"} <= imported(tree)


def test_mask_imports_nothing_of_the_project() -> None:
    assert direct("winnow.mask") == set()
    assert not [n for n in imported(ast.parse(FILES["winnow.mask"].read_text())) if "winnow" in n]


@pytest.mark.parametrize("name", [*modules_in("criteria"), *modules_in("moments")])
def test_a_criterion_sees_no_schedule_no_store_and_no_engine(name: str) -> None:
    seen = reachable(name)
    assert not [m for m in seen if inside(m, "schedule", "experiment", "engine", "algorithms")]


@pytest.mark.parametrize("name", modules_in("report"))
def test_a_report_never_reaches_the_engine(name: str) -> None:
    assert not [m for m in reachable(name) if inside(m, "engine")]


@pytest.mark.parametrize("name", modules_in("kernels", "engine.sparse_cpu.kernels"))
def test_kernels_know_nothing_of_the_project_but_files_and_errors(name: str) -> None:
    """Else code that is not hashed could make compiled code stale, see `winnow.kernels.sources`."""
    below = "kernels" if inside(name, "kernels") else "engine.sparse_cpu.kernels"
    assert not [m for m in direct(name) if not inside(m, below, "kernels", "files", "errors")]


@pytest.mark.parametrize("name", modules_in("engine"))
def test_no_backend_knows_a_schedule_or_an_algorithm(name: str) -> None:
    assert not [m for m in reachable(name) if inside(m, "schedule", "algorithms", "experiment")]


def test_only_algorithms_and_experiments_see_criteria_and_schedules_together() -> None:
    for name in FILES:
        seen = {name, *direct(name)}
        both = all(any(inside(m, part) for m in seen) for part in ("criteria", "schedule"))
        assert not both or inside(name, "algorithms", "experiment"), name


def test_no_module_has_the_name_of_a_public_function() -> None:
    import winnow

    modules = {path.stem for path in PACKAGE.iterdir()}
    functions = {name for name in winnow.__all__ if name[0].islower()}
    assert not modules & functions


def test_importing_winnow_is_light() -> None:
    code = (
        "import sys, winnow; dir(winnow); winnow.UserError; winnow.__version__;"
        "heavy = {'torch', 'numpy', 'safetensors', 'pydantic', 'datasets', 'matplotlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_the_public_names() -> None:
    import winnow as wn

    assert set(wn.__all__) <= set(dir(wn))
    for name in set(wn.__all__) - {"run"}:
        assert getattr(wn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'scroe'"):
        wn.scroe  # type: ignore[attr-defined]  # noqa: B018
    assert wn.score.__module__ == "winnow.scoring"
