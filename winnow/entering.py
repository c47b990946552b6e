"""``winnow enter``: one's own criterion in the fixed comparison of methods, tried first.

The comparison is a shipped recipe with one more method, so runs of the built-in methods are those
of ``winnow run`` on it, found by their identity and trained once.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from winnow.criteria.own import load_own
from winnow.data.own import known_data
from winnow.errors import UserError, unknown
from winnow.experiment.plan.plan import Planned
from winnow.experiment.recipe.model import Model
from winnow.experiment.recipe.network import initialised_network
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.recipe.scales import FULL
from winnow.experiment.store.store import Store
from winnow.experiment.train.executor import Event
from winnow.experiments import Outcome, as_texts, ask, run
from winnow.models import is_own_network, network_options
from winnow.report.entry.entry import Entry, entry_of
from winnow.report.entry.entry_page import write_entry
from winnow.trial import try_criterion

COMPARISON = "compare/digits"
"""What a method enters: all built-in methods, five densities, five replicates, within 10 minutes on
two cores."""

_SMALL_LENET = (12, 8)
_NARROW = 0.125


@dataclass(frozen=True)
class Entered:
    """What an entry gave: the comparison, the entry of one's own method, and its page."""

    outcome: Outcome
    entry: Entry
    page: Path


def enter(
    written: str,
    *,
    scale: str = FULL,
    replicates: int | None = None,
    store: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    checkpoint: float = 60.0,
    confirm: bool = False,
    on_plan: Callable[[Planned, Store], Callable[[Event], None]] | None = None,
) -> Entered:
    """Try one's own criterion, run what is missing of the comparison with it, write the answer.

    ``written``: ``path/to/file.py:function`` or ``module:function``. The others are those of
    ``wn.run``. The page is ``entry.html`` beside the report of the comparison.

    Raises UserError: no such function, or one that does not score a small network as it should,
    with its file and line; and what ``wn.run`` raises.
    """
    with importable(written) as method:
        recipe = ask(COMPARISON, scale=scale, replicates=replicates).load()
        _try(method, recipe)
        arm, overrides = _with_method(recipe, method)
        outcome = run(
            COMPARISON,
            overrides=overrides,
            replicates=replicates,
            scale=scale,
            store=store,
            jobs=jobs,
            threads=threads,
            checkpoint=checkpoint,
            confirm=confirm,
            on_plan=on_plan,
        )
    command = _command(written, scale, replicates)
    page = write_entry(outcome.results, arm, outcome.page.parent, command)
    return Entered(outcome, entry_of(outcome.results, arm), page)


@contextmanager
def importable(written: str) -> Iterator[str]:
    """The criterion's name as ``module:function``; inside, workers can import it too.

    A file is imported from its folder, or from that of the package that it is part of. Raises
    UserError: there is no such file or function, or another module of that name comes first.
    """
    place, colon, function = written.rpartition(":")
    if not colon or not function.isidentifier():
        raise UserError(
            f"{written!r} names no function: write file.py:function, e.g. my.py:criterion, or "
            "module:function"
        )
    if not place.endswith(".py"):
        load_own(f"{place}:{function}")
        yield f"{place}:{function}"
        return
    file = Path(place).resolve()
    _check_file(file, function)
    folder, module = _module_of(file)
    with _on_path(folder):
        _check_found(file, module)
        load_own(f"{module}:{function}")
        yield f"{module}:{function}"


def _check_found(file: Path, module: str) -> None:
    """UserError where Python would import another file under the module's name."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # of a package that fails, or is none: importing tells it
        return
    found = spec.origin if spec else None
    if found and Path(found).resolve() != file:
        raise UserError(
            f"{file}: Python finds another module named {module} before it, {found}. Give the file "
            f"another name, e.g. my_{file.name}"
        )


def _check_file(file: Path, function: str) -> None:
    """UserError, with the line, for a file that is not there or no Python, or lacks the name."""
    try:
        tree = ast.parse(file.read_text("utf-8"), str(file))
    except FileNotFoundError:
        raise UserError(
            f"there is no file {file}: write its path from here, {Path.cwd()}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    except SyntaxError as error:
        said = (error.text or "").strip()
        raise UserError(
            f"{file}, line {error.lineno}, `{said}`: {error.msg}. Correct it and run again"
        ) from None
    names = {node.name: node.lineno for node in tree.body if isinstance(node, ast.FunctionDef)}
    if function not in names and not _is_imported(tree, function):
        listed = ", ".join(f"{name} (line {line})" for name, line in names.items())
        has = f"{file} defines {listed}" if names else f"{file} defines no function"
        raise unknown(f"function of {file.name}:", function, names, has)


def _is_imported(tree: ast.Module, function: str) -> bool:
    """Whether a file has the name by other means than ``def``: an import, a value."""
    bound: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            bound |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return function in bound


def _module_of(file: Path) -> tuple[Path, str]:
    """The folder to import from and the module's name, with the packages that it is in."""
    folder, parts = file.parent, [file.stem]
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    for part in parts:
        if not part.isidentifier():
            raise UserError(
                f"{file}: {part!r} is no name that Python can import: rename it, e.g. "
                f"{part.replace('-', '_').replace(' ', '_')}"
            )
    return folder, ".".join(parts)


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Let this process and those that it starts import from a folder, last of all."""
    if folder == Path.cwd():  # found there anyway, by workers as well
        yield
        return
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (before, str(folder))))
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _try(method: str, recipe: Recipe) -> None:
    """Score a small network of the comparison's kind, on a few random images of its shape."""
    about = known_data(recipe.data.key)
    shape = about.inputs(recipe.data.size)
    model = initialised_network(about, _smaller(recipe.model), recipe.data.size, seed=0)
    try_criterion(load_own(method), model, shape, about.classes, method)


def _smaller(model: Model) -> Model:
    if is_own_network(model.name):
        return model
    taken = network_options(model.name)
    if "hidden" in taken:
        return model.model_copy(update={"hidden": _SMALL_LENET})
    return model.model_copy(update={"width": _NARROW * model.width} if "width" in taken else {})


def _with_method(recipe: Recipe, method: str) -> tuple[str, list[str]]:
    """The name of the arm of one's own method, and the override that adds it to the others."""
    assert recipe.compare is not None
    methods = recipe.compare.methods
    arm = method.rpartition(":")[2]
    taken = {spec.arm_name for spec in methods} | {"dense", "ticket", "continued"}
    own = {"name": method}
    if arm in taken:
        arm = own["label"] = f"my-{arm}"
    dumped = [spec.model_dump(mode="json", exclude_defaults=True) for spec in methods]
    return arm, as_texts({"compare.methods": [*dumped, own]})


def _command(written: str, scale: str, replicates: int | None) -> str:
    words = ["winnow", "enter", written]
    words += ["--scale", scale] if scale != FULL else []
    words += ["--replicates", str(replicates)] if replicates is not None else []
    return shlex.join(words)
