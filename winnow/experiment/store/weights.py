"""Trained weights that a recipe names by a file: known by their content, kept in the store.

A run's identity has the hash of the values, whatever file they stand in; workers read the copy.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.algorithms.search import SEARCH_METHODS
from winnow.errors import UserError
from winnow.experiment.recipe.network import network
from winnow.experiment.store.store import Store
from winnow.files import write_whole
from winnow.mask import to_bytes
from winnow.pretrained import load_pretrained
from winnow.state import State, fresh_state
from winnow.statefile import pack_state, read_state

if TYPE_CHECKING:
    from winnow.experiment.recipe.compare import MethodSpec
    from winnow.experiment.recipe.recipe import Recipe

TRAINED = "trained"
"""In place of a file: the network that the replicate has trained itself."""


def weights_file(method: MethodSpec) -> str | None:
    """The file that a search is given; None for other methods, and for the replicate's network."""
    search, file = SEARCH_METHODS.get(method.name), method.options.get("weights", TRAINED)
    given = search is not None and search.of_trained and isinstance(file, str) and file != TRAINED
    return file if given else None


def hash_of_weights(recipe: Recipe, file: str, arm: str) -> str:
    """The hash of the weights in a file. UserError: not there, or of another network."""
    return content_hash_of(_read(recipe, file, arm))


def copy_weights(recipe: Recipe, store: Store) -> None:
    """Copy the weights that a recipe names into its store, for those who train."""
    for line in recipe.by_line().values():
        for method in line.compare.methods if line.compare else ():
            if file := weights_file(method):
                state = _read(line, file, method.arm_name)
                write_whole(
                    _file(store, content_hash_of(state)), to_bytes("state", *pack_state(state))
                )


def read_weights(store: Store, content: str) -> State:
    """The weights with this hash. UserError: the store's copy is lost or damaged."""
    file = _file(store, content)
    try:
        state = read_state(file.read_bytes(), str(file))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: {error}: run the command again, which copies it") from None
    if content_hash_of(state) != content:
        raise UserError(f"{file} is damaged: run the command again, which copies it")
    return state


def _file(store: Store, content: str) -> Path:
    return store.path / "weights" / f"{content}.safetensors"


def _read(recipe: Recipe, file: str, arm: str) -> State:
    model = network(recipe).to_empty(device="cpu")
    for buffer in model.buffers():  # early files lack counters of batches
        buffer.zero_()
    try:
        load_pretrained(model, file)
    except (UserError, OSError) as error:
        raise UserError(f"weights of {arm}: {error}") from None
    return fresh_state(model)


def content_hash_of(state: State) -> str:
    """SHA-256 over names, kinds, shapes and bits."""
    digest = hashlib.sha256()
    for name, value in sorted({**state.weights, **state.buffers}.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()
