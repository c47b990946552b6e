"""The floors of the house, checked on the import statements of every file.

Imports go down only. Those inside functions count, and those for types alone too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "winnow"

FLOORS = (
    ("cli", "integrations"),
    ("importing", "bench", "claims"),
    ("entering", "explaining", "finding", "checking"),
    ("deployment",),
    ("experiments",),
    ("report",),
    ("experiment",),
    ("analysis",),
    ("algorithms",),
    ("pretrained",),
    ("ticket", "trial"),
    ("scoring", "sparsifying", "statefile", "ticketfile"),
    ("criteria",),
    ("moments", "averaging", "distributed"),
    ("engine",),
    ("kernels",),
    ("data", "models", "state", "pruning", "coverage", "structure"),
    ("selection", "schedule", "patterns"),
    ("layers", "ties", "slots", "wrapped", "outside", "extraction", "survivors"),
    ("mask", "allocation", "amounts", "topk", "files", "hub", "rng", "watching"),
    ("digest", "tablefile", "sharding", "reparametrisation"),
    ("errors", "locks", "processes", "packing", "shares"),
)
"""From the roof to the ground. What stands on one floor does not import its neighbours."""

OF_EXPERIMENT = (
    ("train",),
    ("plan",),
    ("store",),
    ("recipe", "expected"),
    ("unreachable",),
    ("measures", "analyses"),
    ("runs",),
    ("arms", "run_parts"),
)
"""The floors inside winnow.experiment."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(tree: ast.AST) -> set[str]:
    """Full names in the import statements; of ``from package import module`` the module alone."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.add(whole if whole in FILES else str(node.module))
    return names


def direct(name: str) -> set[str]:
    """Modules of the project that a module imports.

    Not the package itself: it imports nothing by itself (a test below), only what is asked of it.
    """
    return imported(ast.parse(FILES[name].read_text())) & FILES.keys() - {name, "winnow"}


DIRECT = {name: direct(name) for name in FILES}


def reachable(name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in DIRECT[waiting.pop()] - found:
            found.add(other)
            waiting.append(other)
    return found


def inside(name: str, *packages: str) -> bool:
    return any(name == f"winnow.{p}" or name.startswith(f"winnow.{p}.") for p in packages)


def modules_in(*packages: str) -> list[str]:
    return [name for name in FILES if inside(name, *packages)]


def climbs(floors: tuple[tuple[str, ...], ...], depth: int, graph: dict[str, set[str]]) -> set[str]:
    """Imports that do not go down. ``depth``: which part of a module's name says where it lives."""
    floor = {unit: level for level, units in enumerate(reversed(floors)) for unit in units}

    def unit_of(name: str) -> str | None:
        parts = name.split(".")
        return parts[depth] if len(parts) > depth and parts[depth] in floor else None

    return {
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if (here := unit_of(name)) and (there := unit_of(other)) and here != there
        if floor[there] >= floor[here]
    }


def test_the_walk_sees_imports() -> None:
    assert "winnow.topk" in DIRECT["winnow.pruning"]
    assert "winnow.mask" in reachable("winnow.algorithms.imp")
    tree = ast.parse("def f():\n    from winnow.engine import dense\n    import winnow.rng")
    assert imported(tree) == {"winnow.engine.dense", "winnow.rng"}


def test_every_module_has_a_floor() -> None:
    units = {name.split(".")[1] for name in FILES if "." in name}
    assert units - {unit for floor in FLOORS for unit in floor} == {"__main__"}
    rooms = {name.split(".")[2] for name in modules_in("experiment") if name.count(".") > 1}
    assert rooms == {room for floor in OF_EXPERIMENT for room in floor}


def test_imports_go_down_only() -> None:
    assert not climbs(FLOORS, 1, DIRECT)
    assert not climbs(OF_EXPERIMENT, 2, {n: DIRECT[n] for n in modules_in("experiment")})


def test_a_climb_is_noticed() -> None:
    graph = {
        "winnow.mask": {"winnow.topk"},
        "winnow.engine.dense": {"winnow.criteria", "winnow.mask", "winnow.engine.base"},
    }
    assert climbs(FLOORS, 1, graph) == {
        "winnow.mask imports winnow.topk",
        "winnow.engine.dense imports winnow.criteria",
    }


def test_no_imports_go_in_a_circle() -> None:
    """A package's ``__init__`` may hand out what its files define: they ask it nothing."""
    try:
        list(TopologicalSorter(DIRECT).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' → '.join(error.args[1])}")


def test_mask_imports_nothing_of_the_project_but_the_digest() -> None:
    assert DIRECT["winnow.mask"] == {"winnow.digest"}
    assert not DIRECT["winnow.digest"]


@pytest.mark.parametrize("name", [*modules_in("criteria"), *modules_in("moments")])
def test_a_criterion_sees_no_schedule_no_store_and_no_engine(name: str) -> None:
    seen = reachable(name)
    assert not [m for m in seen if inside(m, "schedule", "experiment", "engine", "algorithms")]


@pytest.mark.parametrize("name", modules_in("report"))
def test_a_report_reads_rows_and_reaches_no_engine_and_no_plan(name: str) -> None:
    hidden = ("engine", "algorithms", "criteria", "experiment.plan", "experiment.train")
    assert not [m for m in reachable(name) if inside(m, *hidden)]


@pytest.mark.parametrize("name", modules_in("kernels", "engine.sparse_cpu.kernels"))
def test_kernels_know_nothing_of_the_project_but_files_processes_and_errors(name: str) -> None:
    """Else code that is not hashed could make compiled code stale, see `winnow.kernels.sources`."""
    below = "kernels" if inside(name, "kernels") else "engine.sparse_cpu.kernels"
    assert not [
        m
        for m in direct(name)
        if not inside(m, below, "kernels", "files", "locks", "processes", "errors")
    ]


@pytest.mark.parametrize("name", modules_in("engine"))
def test_no_backend_knows_a_schedule_or_an_algorithm(name: str) -> None:
    assert not [m for m in reachable(name) if inside(m, "schedule", "algorithms", "experiment")]


def test_only_algorithms_and_experiments_see_criteria_and_schedules_together() -> None:
    for name in FILES:
        seen = {name, *DIRECT[name]}
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
        "heavy = {'torch', 'numpy', 'safetensors', 'pydantic', 'datasets', 'matplotlib',"
        "'lightning', 'transformers'};"
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
