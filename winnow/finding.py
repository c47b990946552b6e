"""``winnow find``: one ticket by a recipe of one method at one density, beside the dense network.

The recipe is run as ``winnow run`` runs it, so nothing that is finished is trained again. The usual
one is `winnow.experiment.recipe.usual.usual_recipe`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from winnow.errors import UserError
from winnow.experiment.plan.plan import Planned
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.store.run_tickets import ticket_of_run
from winnow.experiment.store.store import Store
from winnow.experiment.train.executor import Event
from winnow.experiments import Outcome, run, store_path
from winnow.files import write_whole
from winnow.report import Results, Row
from winnow.ticket import Ticket

_SAID = "what winnow find was asked for"


@dataclass(frozen=True, eq=False)
class FoundTicket:
    """A ticket that was found: the rows of it and of the dense network, and the folder of its run.

    ``ticket``: with the weights that it was trained from, if they are known, and those after it.
    """

    ticket: Ticket
    folder: Path
    found: Row
    dense: Row
    outcome: Outcome


def check_one_ticket(written: Mapping[str, Any]) -> Recipe:
    """The recipe of some keys. UserError: it is not valid, or finds more than one ticket."""
    recipe = check_recipe(dict(written), _SAID)
    compare = recipe.compare
    several = {
        "compare.methods": 0 if compare is None else len(compare.methods),
        "compare.densities": 0 if compare is None else len(compare.densities),
        "replicates": recipe.replicates,
        "lines": max(1, len(recipe.lines)),
    }
    if wrong := [f"{key} has {count}" for key, count in several.items() if count != 1]:
        raise UserError(
            f"{_SAID}: {', '.join(wrong)}, and it finds one ticket, of one method at one density: "
            "save the recipe with --recipe FILE.yaml, and winnow run takes it with more"
        )
    return recipe


def recipe_as_yaml(written: Mapping[str, Any]) -> str:
    """The text of a recipe's file."""
    return yaml.safe_dump(
        dict(written), sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )


def save_recipe(written: Mapping[str, Any], file: Path) -> None:
    """Write a recipe. UserError: the name is none of YAML, or another recipe stands there."""
    text = recipe_as_yaml(written)
    if file.suffix not in (".yaml", ".yml"):
        raise UserError(f"--recipe {file}: name a YAML file, e.g. {file.with_suffix('.yaml')}")
    if file.is_symlink() or (file.exists() and not _holds(file, text)):
        raise UserError(
            f"--recipe {file} is there already, and is another recipe: name another file, or "
            "remove it first"
        )
    write_whole(file, text)


def _holds(file: Path, text: str) -> bool:
    try:
        return file.read_bytes() == text.encode()
    except OSError:  # a folder
        return False


def find_ticket(
    written: Mapping[str, Any],
    *,
    file: Path | None = None,
    store: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    checkpoint: float = 60.0,
    confirm: bool = False,
    code: bool = True,
    on_plan: Callable[[Planned, Store], Callable[[Event], None]] | None = None,
) -> FoundTicket:
    """Train what is missing of a recipe with one ticket, and take that.

    ``file``: where `save_recipe` wrote it, if it did; the others are those of `winnow.run`.
    UserError: it is not valid, its training diverged, or its weights are not in the store.
    """
    recipe = check_one_ticket(written)
    assert recipe.compare is not None
    outcome = run(
        dict(written) if file is None else str(file),
        store=store,
        jobs=jobs,
        threads=threads,
        checkpoint=checkpoint,
        confirm=confirm,
        code=code,
        on_plan=on_plan,
    )
    (method,), rows = recipe.compare.methods, outcome.results.rows
    dense = next(row for row in rows if row.round == 0)
    found = next(row for row in rows if row.arm == method.arm_name)
    folder = _folder(found, outcome.results, Store(store_path(store), read_only=True))
    return FoundTicket(_taken(folder), folder, found, dense, outcome)


def _folder(row: Row, results: Results, place: Store) -> Path:
    """Where the run of a row lies. UserError: it diverged, or is known by a table alone."""
    if row.status != "done":
        when = f" at iteration {row.diverged_at}" if row.status == "diverged" else " before it"
        raise UserError(
            f"no ticket: training of {row.run} diverged{when}. Choose a lower learning rate, e.g. "
            "-o train.optimizer.lr=3e-4, or -o train.clip=1.0"
        )
    about = results.details.get(row.run)
    stored = place.find_named(row.run, about.id) if about else None
    if stored is None:
        raise UserError(
            f"{row.run} is finished, and its weights are not in {place.path}: name the store that "
            "has them, or a new one, with --store DIR"
        )
    return stored.folder


def _taken(folder: Path) -> Ticket:
    """With the weights that it was trained from where they are kept (a surgeon moves others)."""
    try:
        return ticket_of_run(folder)
    except UserError:
        return ticket_of_run(folder, "final")
