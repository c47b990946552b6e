"""Recipes, networks and data as objects: what they are called, and what is refused."""

from __future__ import annotations

import functools
import linecache
import sys
import types
from pathlib import Path

import pytest
import torch
import yaml

from winnow.errors import UserError
from winnow.experiment.recipe.objects import names_of_objects, recipe_file

CELL = """
WIDTH = 3

def build(inputs, classes):
    return WIDTH

def make():
    depth = 3
    return lambda inputs: depth
"""
X, Y = torch.arange(8.0).view(4, 2), torch.tensor([0, 1, 0, 1])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


@pytest.fixture
def main(monkeypatch):
    """A cell of a notebook, executed."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.setitem(linecache.cache, "<cell>", (1, None, CELL.splitlines(keepends=True), ""))
    exec(compile(CELL, "<cell>", "exec"), module.__dict__)
    return module


def model_name(model):
    return names_of_objects(model, None, Path("runs"))["model.name"]


def test_functions_of_modules_are_named(folder):
    (folder / "own_net.py").write_text("def build(): return 1\nclass Net: pass\n")
    (folder / "own_pack").mkdir()
    (folder / "own_pack" / "__init__.py").touch()
    (folder / "own_pack" / "net.py").write_text("def build(): return 1\n")
    import own_net
    import own_pack.net

    assert model_name(own_net.build) == f"{folder / 'own_net.py'}:build"
    assert model_name(own_net.Net) == f"{folder / 'own_net.py'}:Net"
    assert model_name(own_pack.net.build) == "own_pack.net:build"
    assert model_name("anything:at_all") == "anything:at_all"
    assert not (folder / "runs").exists()


def test_a_function_of_a_notebook_is_written_once(folder, main):
    path, _, name = model_name(main.build).rpartition(":")
    assert Path(path).is_absolute()
    assert Path(path).parent == folder / "runs" / "own"
    namespace = {}
    exec(Path(path).read_text(), namespace)
    assert namespace[name](1, 2) == 3
    assert model_name(main.build) == f"{path}:build"
    main.WIDTH = 4
    assert model_name(main.build) != f"{path}:build"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda _: torch.nn.Linear(2, 2), "model is a Linear: give the function that builds it"),
        (lambda main: functools.partial(main.build, 1), "model is a partial"),
        (lambda main: main.make(), "is a lambda"),
    ],
)
def test_what_no_other_process_can_make_is_refused(main, make, told):
    with pytest.raises(UserError, match=told):
        model_name(make(main))


def test_data_is_known_by_its_content(folder):
    given = {"train": (X, Y), "test": (X, Y)}
    names = [
        names_of_objects(None, data, folder)["data.name"]
        for data in (given, ((X.numpy(), Y), (X, Y.tolist())), lambda: given)
    ]
    assert len(set(names)) == 1
    assert names[0].startswith("content:")
    changed = {**given, "test": (X + 1, Y)}
    assert names_of_objects(None, changed, folder)["data.name"] != names[0]
    assert names_of_objects(None, Path("flowers"), folder) == {"data.name": "./flowers"}
    assert names_of_objects(None, "digits", folder) == {"data.name": "digits"}


def test_a_recipe_becomes_a_file(folder):
    recipe = {"title": "Größe & Form", "data": {"validation": 3}, "prune": {"rates": {"a": 0.5}}}
    recipe["figures"] = ("lth/4",)
    path = recipe_file(recipe, {"model.name": "a:b", "data.name": "digits"}, folder)
    assert yaml.safe_load(Path(path).read_text("utf-8")) == {
        **recipe,
        "figures": ["lth/4"],
        "data": {"validation": 3, "name": "digits"},
        "model": {"name": "a:b"},
    }
    assert "model" not in recipe  # the caller's stays
    assert recipe_file(recipe, {"model.name": "a:b", "data.name": "digits"}, folder) == path
    assert recipe_file(recipe, {"model.name": "a:c", "data.name": "digits"}, folder) != path
    with pytest.raises(UserError, match="recipe: model is 'x': write a mapping"):
        recipe_file({"model": "x"}, {"model.name": "a:b"}, folder)
    with pytest.raises(UserError, match=r"recipe.model.name is a function: .*model="):
        recipe_file({"model": {"name": model_name}}, {}, folder)
