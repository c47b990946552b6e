"""A small recipe, and a store in which all of it is finished."""

from __future__ import annotations

import pytest
from command_line import RECIPE, winnow


@pytest.fixture(scope="module")
def own_environment(own_cache):  # noqa: ARG001
    """No data and no store but those that tests name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WINNOW_DATA", raising=False)
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def finished(recipe, own_environment, tmp_path_factory):  # noqa: ARG001
    """A store with all runs of the recipe, and what the command answered."""
    store = tmp_path_factory.mktemp("finished") / "runs"
    return store, winnow("run", recipe, "--store", store, "--jobs", 1)


@pytest.fixture
def store(finished):
    return finished[0]
