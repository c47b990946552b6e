"""Tickets that a recipe names by a file: known by their content, kept in the store.

The mask and the weights are two files under ``weights/``: a random mask needs the removed weights
too. A run's identity has their hashes, whatever file they stood in; workers read the copies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from winnow.errors import UserError
from winnow.experiment.recipe.network import network
from winnow.experiment.store.run_tickets import unnamed_ticket
from winnow.experiment.store.store import Store, read_found
from winnow.experiment.store.weights import content_hash_of, read_weights
from winnow.files import write_whole
from winnow.mask import Mask, to_bytes
from winnow.selection import prunable, resolve_names
from winnow.state import State
from winnow.statefile import pack_state
from winnow.survivors import check_known
from winnow.ticket import Ticket, load

if TYPE_CHECKING:
    from winnow.experiment.recipe.recipe import Recipe
    from winnow.experiment.recipe.ticket import GivenTicket


@dataclass(frozen=True)
class FittedTicket:
    """What a recipe's network takes of a ticket: its mask, and weights and buffers by name (None
    for new ones), each with its hash.
    """

    mask: Mask
    mask_hash: str
    weights: State | None
    weights_hash: str | None


def fitted_ticket(recipe: Recipe, given: GivenTicket) -> FittedTicket:
    """The ticket of a recipe. UserError, by name, for what does not fit the recipe's network, and
    for controls that need removed weights that the ticket's file has left out.
    """
    ticket, model = _read(given), network(recipe)
    skipped = _skipped(given, model)
    own = {name: tuple(w.shape) for name, w in prunable(model).items()}
    mask = Mask({name: keep for name, keep in ticket.mask.items() if name not in skipped})
    _check(given, {name: tuple(keep.shape) for name, keep in mask.items()}, own)
    if given.weights == "new":
        return FittedTicket(mask, mask_hash(mask), None, None)
    source = _source(given, ticket)
    if wanted := [arm for arm, count in _controls_by_other_masks(recipe).items() if count]:
        _check_removed(given, source, skipped, f"controls: {', '.join(wanted)}")
    state = _state_of(given, source, model, skipped)
    return FittedTicket(mask, mask_hash(mask), state, content_hash_of(state))


def check_removed_known(recipe: Recipe, why: str) -> None:
    """UserError if the recipe's ticket is trained from weights of which its file has left the
    removed ones out, which other masks would keep. ``why``: what needs them.
    """
    given = recipe.ticket
    if given is not None and given.weights != "new":
        skipped = _skipped(given, network(recipe))
        _check_removed(given, _source(given, _read(given)), skipped, why)


def _skipped(given: GivenTicket, model: nn.Module) -> set[str]:
    return set(resolve_names(model, given.skip)) if given.skip else set()


def _source(given: GivenTicket, ticket: Ticket) -> Mapping[str, Tensor]:
    source = ticket.rewind if given.weights == "rewound" else ticket.final
    if source is None:
        raise UserError(f"ticket.file {given.file} has no final weights: write weights: rewound")
    return source


def _check_removed(
    given: GivenTicket, source: Mapping[str, Tensor], skipped: set[str], why: str
) -> None:
    skip = {name: torch.zeros((), dtype=torch.bool) for name in skipped}
    check_known(source, skip, f"ticket.file {given.file}, for {why}")


def _controls_by_other_masks(recipe: Recipe) -> dict[str, int]:
    """The controls that train the ticket's weights under other masks, and how many there are."""
    asked = recipe.controls
    return {"random": asked.random, "random-order": asked.random_order}


def copy_ticket(recipe: Recipe, store: Store) -> None:
    """Copy the tickets that the lines of a recipe name into its store, for those who train."""
    for line in recipe.by_line().values():
        if line.ticket is None:
            continue
        fitted = fitted_ticket(line, line.ticket)
        packed, shapes = fitted.mask.pack()
        write_whole(
            _mask_file(store, fitted.mask_hash), to_bytes("mask", packed, {"shapes": shapes})
        )
        if fitted.weights is not None:
            path = store.path / "weights" / f"{fitted.weights_hash}.safetensors"
            write_whole(path, to_bytes("state", *pack_state(fitted.weights)))


def read_mask(store: Store, content: str) -> Mask:
    """The mask with this hash. UserError: the store's copy is lost or damaged."""
    file = _mask_file(store, content)
    try:
        mask = Mask.load(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: {error}: run the command again, which copies it") from None
    if mask_hash(mask) != content:
        raise UserError(f"{file} is damaged: run the command again, which copies it")
    return mask


@dataclass(frozen=True)
class GivenFiles:
    """What recipes gave a store by files, by hash: weights and masks."""

    store: Store

    def weights(self, content: str) -> State:
        """Weights. UserError: lost or damaged."""
        return read_weights(self.store, content)

    def mask(self, content: str) -> Mask:
        """A mask. UserError: lost or damaged."""
        return read_mask(self.store, content)


def mask_hash(mask: Mask) -> str:
    """SHA-256 over names, shapes and bits."""
    digest = hashlib.sha256()
    for name, keep in sorted(mask.items()):
        digest.update(f"{name} {list(keep.shape)}\n".encode())
        digest.update(keep.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _mask_file(store: Store, content: str) -> Path:
    return store.path / "weights" / f"{content}.mask.safetensors"


def _read(given: GivenTicket) -> Ticket:
    path = Path(given.file)
    try:
        if path.is_dir():
            needed = "both" if given.weights == "rewound" else "final"
            return unnamed_ticket(read_found(path, None), needed)
        return load(path)
    except FileNotFoundError:
        raise UserError(
            f"ticket.file {given.file}: there is no such file or folder: give a ticket file, or "
            "the folder of a stored run"
        ) from None
    except UserError as error:
        raise UserError(f"ticket.file {given.file}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"ticket.file {given.file} is no run's folder: {error}") from None


def _state_of(
    given: GivenTicket, source: Mapping[str, Tensor], model: nn.Module, skipped: set[str]
) -> State:
    """The weights and buffers that are taken; of skipped layers neither weight nor bias."""
    layers = tuple(f"{name.rpartition('.')[0]}." for name in skipped)
    taken = {
        name: value.to(torch.float32) if value.is_floating_point() else value
        for name, value in source.items()
        if not name.startswith(layers or ("\0",))
    }
    parameters = {name: tuple(p.shape) for name, p in model.named_parameters()}
    buffers = {name: tuple(b.shape) for name, b in model.named_buffers()}
    _check(given, {name: tuple(v.shape) for name, v in taken.items()}, parameters | buffers)
    weights = {name: value for name, value in taken.items() if name in parameters}
    return State(0, weights, {name: v for name, v in taken.items() if name in buffers})


def _check(
    given: GivenTicket,
    theirs: Mapping[str, tuple[int, ...]],
    own: Mapping[str, tuple[int, ...]],
) -> None:
    faults = [
        f"{name} is {list(shape)} in the ticket and "
        + (f"{list(own[name])} here" if name in own else "not in this network")
        for name, shape in theirs.items()
        if own.get(name) != shape
    ]
    if faults:
        more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UserError(
            f"ticket.file {given.file} does not fit: {'; '.join(faults[:3])}{more}. Take the same "
            "network, or leave layers out with ticket.skip, e.g. skip: [output]"
        )
