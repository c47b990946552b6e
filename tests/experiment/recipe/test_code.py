"""Code that recipes name: refused by name before any import, by whoever asks for no code."""

from __future__ import annotations

import sys

import pytest

import winnow as wn
from winnow.errors import UserError
from winnow.experiment.recipe.code import check_no_code, code_of
from winnow.experiment.recipe.load import load_recipe
from winnow.outside import CodeRefusedError, load_outside, running_code, source_of_place

MODULE = """
from pathlib import Path

Path(__file__).with_suffix(".imported").touch()


def build(inputs, classes):
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


def load():
    raise AssertionError("not reached")


def score(subject):
    raise AssertionError("not reached")
"""

RECIPE = """
title: own
data: {{name: {data}}}
model: {{name: "{model}"}}
train: {{steps: 4it, batch: 50, optimizer: {{name: sgd, lr: 0.1}}}}
replicates: 1
engine: dense
{more}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a module of one's own, which leaves a file behind where it is imported."""
    (tmp_path / "mine_of_code.py").write_text(MODULE)
    (tmp_path / "package_of_code").mkdir()
    (tmp_path / "package_of_code" / "__init__.py").write_text(MODULE)
    (tmp_path / "package_of_code" / "inner.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in list(sys.modules):
        if "_of_code" in name:
            del sys.modules[name]


def recipe(place, *, data="digits", model="lenet-300-100", more=""):
    (place / "r.yaml").write_text(RECIPE.format(data=data, model=model, more=more))
    return str(place / "r.yaml")


NAMED = {
    "network in a file": {"model": "mine_of_code.py:build"},
    "network in a module": {"model": "mine_of_code:build"},
    "network in a package": {"model": "package_of_code.inner:build"},
    "data in a file": {"data": "mine_of_code.py:load"},
    "data in a module": {"data": "mine_of_code:load"},
    "criterion": {"more": "prune: {criterion: 'mine_of_code:score'}"},
    "criterion in a package": {"more": "prune: {criterion: 'package_of_code.inner:score'}"},
    "method": {"more": "compare: {methods: ['mine_of_code:score']}"},
    "criterion of a method": {
        "more": "compare: {methods: [{name: imp, criterion: 'mine_of_code:score'}]}"
    },
    "a line": {"more": "lines: {a: {}, b: {prune.criterion: 'mine_of_code:score'}}"},
}


@pytest.mark.parametrize("named", NAMED.values(), ids=NAMED)
def test_code_is_refused_by_name_and_never_imported(named, place):
    name = recipe(place, **named)
    with pytest.raises(CodeRefusedError, match="_of_code"):
        wn.run(name, store=place / "runs", code=False)
    assert not list(place.rglob("*.imported"))
    assert not any("_of_code" in name for name in sys.modules)
    assert len(code_of(load_recipe(name))) == 1


def test_a_recipe_without_code_is_what_it_was(place):
    name = recipe(place, more="prune: {rounds: 1}")
    check_no_code(load_recipe(name), name)
    assert wn.run(name, store=place / "runs", code=False, jobs=1).rows is not None


def test_whatever_a_recipe_comes_to_nothing_outside_is_imported(place):
    """The gate below all names: it holds for places that nobody thought of listing."""
    with running_code(False):
        for written in ("mine_of_code:build", "mine_of_code.py:build", "package_of_code.inner:f"):
            for load in (load_outside, source_of_place):
                with pytest.raises(CodeRefusedError, match="--no-code"):
                    load(written, "model.name")
        with running_code(True), pytest.raises(CodeRefusedError):
            load_outside("mine_of_code:build", "model.name")
    assert not list(place.rglob("*.imported"))
    assert load_outside("mine_of_code.py:build", "model.name")


def test_a_network_given_in_python_is_code_too(place):
    with pytest.raises(UserError, match="runs code"):
        wn.run(recipe(place), model="mine_of_code:build", store=place / "runs", code=False)
