"""The images that an experiment runs on, found before anything is planned or trained."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from winnow.data import Unreachable, load_dataset
from winnow.data.facts import facts
from winnow.data.own_names import is_own_data
from winnow.digest import sealed_json, unsealed_json
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.store.store import Store
from winnow.files import write_whole


@dataclass(frozen=True)
class Source:
    """The images an experiment runs on: their number and the hash of their content."""

    examples: int
    content: str


Sources = dict[str, Source]
"""Dataset → its images."""


def datasets_of(recipe: Recipe) -> tuple[str, ...]:
    """The datasets that the lines of a recipe train on, by the keys of their data."""
    return tuple(dict.fromkeys(line.data.key for line in recipe.by_line().values()))


def find_sources(recipe: Recipe) -> Sources:
    """Number and content of the images of each dataset; fetched and decoded now if need be.

    Raises UserError: unknown data, or neither in ``$WINNOW_DATA`` nor reachable, or damaged.
    """
    return {name: find_source(name) for name in datasets_of(recipe)}


def find_source(name: str) -> Source:
    """As `find_sources`, of one dataset."""
    images = load_dataset(name)
    return Source(len(images.train_y), images.content)


def remember_sources(sources: Sources, store: Store) -> None:
    """Note in the store which images its runs of each dataset were trained on.

    Reports and plans can then be made where the images are not; not of one's own data.
    """
    for name, source in sources.items():
        if is_own_data(name):  # whoever has it knows all of it
            continue
        about = {"examples": source.examples, "content": source.content}
        write_whole(store.path / "sources" / f"{name}.json", sealed_json(about))


FindOffline = Callable[[str], tuple[Source, str | None]]
"""The images of a dataset as far as they are known here, and a note where that is a guess."""


def find_sources_offline(
    recipe: Recipe, store: Store, find: FindOffline | None = None
) -> tuple[Sources, str | None]:
    """As `find_sources`, but never fetches: for what trains nothing.

    Images that are not here are those that the store remembers; without that, a guess with their
    usual number, and a note that no stored run can be recognised. ``find``: `find_offline` of that
    store, for many recipes one that remembers. Raises UserError: unknown or damaged data.
    """
    find = find or find_offline(store)
    found = {name: find(name) for name in datasets_of(recipe)}
    notes = [note for _, note in found.values() if note]
    return {name: source for name, (source, _) in found.items()}, "; ".join(notes) or None


def find_offline(store: Store) -> FindOffline:
    """What looks for the images of a dataset, and then for what a store remembers of them, and
    remembers what it has found: they are read, and checked, once.
    """
    return functools.cache(lambda name: _find_offline(name, store))


def _find_offline(name: str, store: Store) -> tuple[Source, str | None]:
    try:
        images = load_dataset(name, online=False)
    except Unreachable:
        return _remembered(name, store) or _guessed(name)
    return Source(len(images.train_y), images.content), None


def _remembered(name: str, store: Store) -> tuple[Source, None] | None:
    file = store.path / "sources" / f"{name}.json"
    try:
        return read_source(file), None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        print(f"damaged: {file}: {error}. It is left out", file=sys.stderr)
        return None


def read_source(file: Path) -> Source:
    """The images that a file of `remember_sources` names. ValueError: it is damaged; OSError."""
    about, _ = unsealed_json(file.read_bytes(), ("examples", "content"))
    examples, content = about.get("examples"), about.get("content")
    if type(examples) is not int or not isinstance(content, str):
        raise ValueError("it has no examples or no content")
    return Source(examples, content)


def _guessed(name: str) -> tuple[Source, str]:
    fetched = "`winnow run` fetches it, or"
    if facts(name).in_files:
        fetched = "its terms let nobody fetch it:"
    note = (
        f"{name} is not here yet: {fetched} put it into $WINNOW_DATA. Until then no stored run can "
        "be recognised"
    )
    return Source(facts(name).train_size, "not here"), note
