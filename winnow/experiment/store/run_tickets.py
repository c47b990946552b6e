"""A stored run as a ticket: its mask, the weights that it was trained from, and its final ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from winnow.errors import UserError, unknown
from winnow.experiment.recipe.network import initialised_network
from winnow.experiment.runs import Run
from winnow.experiment.store.experiments import points_of_runs
from winnow.experiment.store.store import Found, Store, read_found
from winnow.experiment.store.weights import read_weights
from winnow.mask import Mask
from winnow.survivors import Survivors
from winnow.ticket import Ticket

RUN_WEIGHTS = ("both", "rewind", "final")
_Weights = Mapping[str, Tensor]


def ticket_of_run(folder: Path, weights: str = "both") -> Ticket:
    """The ticket of the run that is stored in a folder, with its provenance.

    ``weights``: ``both``, those that it was trained from and those after it; ``rewind``, the
    former alone; ``final``, the latter alone, which then stand for both. Raises UserError: another
    word, no run's folder, a dense or damaged run, or weights that it was trained from which are
    not beside it.
    """
    if weights not in RUN_WEIGHTS:
        raise unknown("weights", weights, RUN_WEIGHTS, f"Choose from {', '.join(RUN_WEIGHTS)}")
    try:
        found = read_found(folder, None)
        ticket = unnamed_ticket(found, weights)
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} is no folder of a stored run: {error}") from None
    about = {**provenance_of_run(found, ticket.mask), "weights": weights}
    return replace(ticket, provenance=about)


def unnamed_ticket(found: Found, weights: str = "both") -> Ticket:
    """As `ticket_of_run`, without its provenance. ValueError where a file is damaged."""
    state = found.state("final")
    if state.mask is None:
        raise UserError(f"{found.folder.name} has no mask: it is a dense network")
    final = {**state.weights, **state.buffers}
    if weights == "final":
        return Ticket(state.mask, final, final)
    begun = _begun_with(found, final, state.mask)
    return Ticket(state.mask, begun, None if weights == "rewind" else final)


def provenance_of_run(found: Found, mask: Mask) -> dict[str, Any]:
    """What a ticket says of the run that it is from; its place in the recipe where that is known.

    ``accuracy``: fractions at the end by split; ``build``: arguments of `winnow.models.build`;
    ``own``: of a network of one's own in its place, where its function is, the hash of that file,
    and what it was called with.
    """
    run, made = found.run, found.provenance
    about: dict[str, Any] = {
        "run": run.id,
        "recipe": made.get("recipe_name"),
        "network": run.model.place or run.model.name,
        "dataset": run.data.name,
        "density": mask.density,
        "method": _method(run),
        "engine": made.get("engine"),
        "steps": run.end,
        "status": found.result.status,
        "accuracy": dict(found.result.final),
        "winnow": made.get("winnow"),
    }
    about |= {"build": _build(run)} if run.model.source is None else {"own": _own(run)}
    place = points_of_runs(_store_of(found), [run.id]).get(run.id)
    if place is not None:
        experiment, point = place
        told: dict[str, Any] = {"line": point.line} if point.line else {}
        told |= {"arm": point.arm, "round": point.round, "replicate": point.replicate}
        about |= {"recipe": experiment.name, **told, "density_total": point.density_total}
    return about


def _method(run: Run) -> str | None:
    """What found the mask."""
    if changing := run.dynamic or run.search:
        return changing.name
    return run.pruning.criterion if run.pruning else None


def _build(run: Run) -> dict[str, Any]:
    """Without the options that have their usual values."""
    model, data = run.model, run.data.about
    hidden = None if model.hidden is None else list(model.hidden)
    options: dict[str, tuple[Any, Any]] = {
        "hidden": (hidden, None),
        "width": (model.width, 1.0),
        "dropout": (model.dropout, 0.0),
        "conv_bias": (model.conv_bias, False),
        "shortcut": (model.shortcut, "projection"),
    }
    said = {key: value for key, (value, usual) in options.items() if value != usual}
    inputs = list(data.inputs(run.data.size))
    return {"name": model.name, "inputs": inputs, "classes": data.classes, **said}


def _own(run: Run) -> dict[str, Any]:
    model, data = run.model, run.data.about
    return {
        "place": model.place or model.name,
        "source": model.source,
        "inputs": list(data.inputs(run.data.size)),
        "classes": data.classes,
        "options": dict(model.options),
    }


def _store_of(found: Found) -> Store:
    return Store(found.folder.resolve().parent.parent, read_only=True)


def _begun_with(found: Found, final: _Weights, mask: Mask) -> _Weights:
    """The weights that a run was trained from, removed ones included; buffers as at the start."""
    run, start = found.run, found.run.start
    if start.noise is not None or start.redrawn is not None:
        raise UserError(
            f"{found.folder.name} was trained from weights that were changed first "
            f"({start.redrawn or 'noise'}), and they are not kept: take weights: final"
        )
    if start.kind == "init":
        return _initial(run)
    if start.kind == "given":
        with contextlib.suppress(UserError):
            return _given(found, mask)
    if start.kind in ("state", "final") and start.run is not None:
        name = "final" if start.step is None else f"step-{start.step}"
        for parent in _beside(found, start.run):
            if parent.has_state(name):
                state = parent.state(name)
                return {**final, **state.weights, **state.buffers}
    raise UserError(
        f"the weights that {found.folder.name} was trained from are not beside it: give the store "
        "that it was trained in, or take weights: final (of a recipe's ticket: or new)"
    )


def _beside(found: Found, identity: str) -> Iterator[Found]:
    """The stored copies of another run in the same store."""
    for folder in sorted(found.folder.parent.glob(f"*-{identity[:12]}*")):
        yield read_found(folder, identity)


def _initial(run: Run) -> _Weights:
    data = run.data
    built = initialised_network(data.about, run.model, data.size, run.seeds["init"], run.draw)
    return {name: value.detach() for name, value in built.state_dict().items()}


def _given(found: Found, mask: Mask) -> _Weights:
    """Weights that a recipe gave by a file; layers that it does not have begin as they are drawn.

    Removed ones that are all 0 count as not known: a compact ticket's file leaves them out.
    """
    content = found.run.start.given or (found.run.search and found.run.search.weights)
    assert isinstance(content, str)
    given = read_weights(_store_of(found), content)
    begun = {**_initial(found.run), **given.weights, **given.buffers}
    lost = [name for name in mask if name in given.weights and _all_zero(begun[name], mask[name])]
    known = {name: keep if name in lost else torch.ones_like(keep) for name, keep in mask.items()}
    return Survivors(begun, Mask(known)) if lost else begun


def _all_zero(weights: Tensor, keep: Tensor) -> bool:
    """Whether some are removed, and all of these are 0."""
    return not bool(keep.all()) and not bool(weights[~keep].any())
