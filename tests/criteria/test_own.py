"""Criteria outside Winnow: how they are found, what they may be, and what is said if they fail."""

# ruff: noqa: ARG001, ARG005
from __future__ import annotations

import hashlib
import sys

import pytest
import torch
from torch import nn

import winnow as wn
from winnow.criteria import CRITERIA, Traits, get_criterion, source_of, traits, traits_of
from winnow.errors import UserError
from winnow.experiment.plan.criterion import Scoring, resolve_scoring
from winnow.experiment.train.examples import scored_as

GOOD = """
from winnow.criteria import traits

@traits(examples="none", passes=0, rounds=7)
def large(subject, *, power=1.0):
    return {n: w.abs() ** power for n, w in subject.weights.items()}

number = 3
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a module into the current folder, and forgets it afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(text, name="own_criteria.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def model():
    return nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))


def test_a_function_of_a_file_in_the_current_folder(write):
    path = write(GOOD)
    before = list(sys.path)
    network = model()
    scores = wn.score(network, "own_criteria:large", power=2.0)
    assert torch.equal(scores["0.weight"], network[0].weight.detach().abs() ** 2.0)
    assert scores.criterion == "own_criteria:large"
    assert sys.path == before
    assert source_of("own_criteria:large") == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(source_of(name) is None for name in CRITERIA)


def test_a_function_of_a_package(write):
    write("", "own_package/__init__.py")
    path = write(GOOD, "own_package/inner.py")
    assert get_criterion("own_package.inner:large").__name__ == "large"
    write("from own_package.inner import large", "own_elsewhere.py")
    assert source_of("own_elsewhere:large") == hashlib.sha256(path.read_bytes()).hexdigest()


def test_traits_are_what_experiments_go_by(write):
    write(GOOD)
    assert traits_of(get_criterion("own_criteria:large")) == Traits("none", 0, 7)
    name = "own_criteria:large"
    assert resolve_scoring(name, {}) == Scoring(name, {"power": 1.0}, None)
    seen = []
    mask = wn.prune_at_init(
        model(), "own_criteria:large", density=0.5, on_round=lambda k, _: seen.append(k)
    )
    assert (mask.kept, seen) == (25, [1, 2, 3, 4, 5, 6, 7])

    @traits(examples="balanced", training=True)
    def other(subject):
        return subject.weights

    assert traits_of(other) == Traits("balanced", 1, 1, True)
    assert traits_of(one) == Traits()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"examples": "balanecd"}, "Did you mean 'balanced'?"),
        ({"passes": -1}, "passes=-1"),
        ({"passes": float("nan")}, "passes=nan"),
        ({"rounds": 0}, "rounds=0: give"),
        ({"rounds": 1.5}, "rounds=1.5"),
    ],
)
def test_wrong_traits_are_refused(wrong, said):
    with pytest.raises(UserError, match=said):
        traits(**wrong)


@pytest.mark.parametrize(("name", "training"), [("snip", True), ("grasp", True), ("obd", False)])
def test_models_are_scored_in_the_mode_of_the_traits(name, training):
    network = nn.Sequential(nn.Linear(3, 3), nn.Dropout())
    assert scored_as(network, name)[0].training is training
    assert not network[1].training


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (GOOD, "own_criteria:lrage", "Did you mean 'large'?"),
        (GOOD, "own_criteria:number", "is of type int: name a function"),
        (GOOD, "own_criteria:", "is no module:function"),
        (GOOD, "own_criteria.py:large", "write own_criteria:large, without .py"),
        (GOOD, "own criteria:large", "is no module:function"),
        (GOOD, "__main__:large", "put it into a file"),
        (GOOD, "own_missing:large", "no module 'own_missing' in the current folder, /.*PYTHONPATH"),
        ("import nothing_at_all", "own_criteria:large", "ModuleNotFound.*nothing_at_all.*line 1"),
        ("\n1 / 0", "own_criteria:large", r"ZeroDivisionError.*own_criteria\.py, line 2\)"),
        ("def f(", "own_criteria:f", "SyntaxError"),
        ("from math import sqrt", "own_criteria:sqrt", "is of type builtin_function_or_method"),
    ],
)  # fmt: skip
def test_what_cannot_be_found_is_said(write, text, name, said):
    write(text)
    with pytest.raises(UserError, match=said):
        get_criterion(name)


def one(subject):
    return {"0.weight": torch.ones(5, 6)}


def flat(subject):
    return {n: w.flatten() for n, w in subject.weights.items()}


def nothing(subject):
    pass


def nan(subject):
    return {n: w * float("nan") for n, w in subject.weights.items()}


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        (one, {}, r"'one' must return scores for \['0.weight', '1.weight'\], got \['0.weight'\]"),
        (flat, {}, r"scores of '0.weight' are \[30\], its weight is \[5, 6\]"),
        (nothing, {}, "got NoneType"),
        (nan, {}, "'0.weight'.*NaN"),
        (one, {"power": 2}, "It has no options"),
        (lambda model, x: {}, {}, r"misses 'x': .*f\(subject, \*, option=default\)"),
        (lambda: {}, {}, r"must be a function f\(subject, …\)"),
        (lambda *, x=1: {}, {}, r"must be a function f\(subject, …\)"),
        (lambda subject, *, power: {}, {}, "misses 'power'"),
    ],
)
def test_a_function_that_does_not_fit_is_told_so(function, options, said):
    with pytest.raises(UserError, match=said):
        wn.prune(wn.score(model(), function, **options), density=0.5)


def test_options_of_an_experiment_are_plain(write):
    write("def f(subject, *, kind=print):\n    return {}")
    with pytest.raises(UserError, match="kind of own_criteria:f is <built-in function print>"):
        resolve_scoring("own_criteria:f", {})
