"""The images of an experiment: found, remembered by a store, or guessed where they are not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from sample_plans import small

from winnow.data import Unreachable
from winnow.data.facts import facts
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store import images
from winnow.experiment.store.images import (
    Source,
    find_offline,
    find_sources,
    find_sources_offline,
    remember_sources,
)
from winnow.experiment.store.store import Store

RECIPE = small().recipe


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs").open()


@pytest.fixture
def absent(monkeypatch):
    """The images are neither here nor reachable."""

    def refuse(name, *, online=True):
        raise Unreachable(f"{name}, online: {online}")

    monkeypatch.setattr(images, "load_dataset", refuse)


def test_images_that_are_here_are_counted_and_hashed(store):
    sources = find_sources(RECIPE)
    (source,) = sources.values()
    assert (source.examples, len(source.content)) == (facts("digits").train_size, 64)
    assert find_sources_offline(RECIPE, store) == (sources, None)


@pytest.mark.usefixtures("absent")
def test_a_store_remembers_the_images_of_its_runs(store):
    remember_sources({"digits": Source(123, "abc")}, store)
    assert find_sources_offline(RECIPE, store) == ({"digits": Source(123, "abc")}, None)


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"examples": 3}', '{"examples": "x"}'])
def test_without_a_readable_note_their_number_is_guessed(store, text):
    if text is not None:
        (store.path / "sources").mkdir()
        (store.path / "sources" / "digits.json").write_text(text)
    sources, note = find_sources_offline(RECIPE, store)
    assert sources == {"digits": Source(facts("digits").train_size, "not here")}
    assert note.startswith("digits is not here yet: `winnow run` fetches it")


@pytest.mark.usefixtures("absent")
def test_images_that_nobody_may_fetch_are_not_promised(store):
    recipe = load_recipe("lth/digits", ["data.name=imagenet", "engine=dense"])
    sources, note = find_sources_offline(recipe, store)
    assert sources == {"imagenet": Source(1_281_167, "not here")}
    assert note.startswith("imagenet is not here yet: its terms let nobody fetch it: put it into")


@pytest.mark.usefixtures("absent")
def test_what_trains_does_not_guess():
    with pytest.raises(Unreachable):
        find_sources(RECIPE)


def test_images_are_looked_for_once_by_what_remembers(tmp_path, monkeypatch):
    asked = []

    def found(name, online):
        asked.append((name, online))
        return SimpleNamespace(train_y=range(5), content="c")

    monkeypatch.setattr(images, "load_dataset", found)
    store, recipe = Store(tmp_path), RECIPE
    find = find_offline(store)
    for _ in range(2):
        assert find_sources_offline(recipe, store, find) == ({"digits": Source(5, "c")}, None)
    assert asked == [("digits", False)]
    find_sources_offline(recipe, store)
    assert len(asked) == 2, "without it, each time"
