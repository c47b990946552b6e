"""The trial of a criterion: what is wrong is told with file and line; what is right passes."""

from __future__ import annotations

import importlib.util
import random

import numpy as np
import pytest
import torch
from torch import nn

from winnow.criteria import CRITERIA
from winnow.errors import UserError
from winnow.trial import try_criterion

SHAPE, CLASSES = (1, 4, 4), 3

SOURCE = """
import random
import numpy as np
import torch
from winnow.criteria import traits

calls = []

def good(subject):
    return {name: w.abs() for name, w in subject.weights.items()}

def drawn(subject):
    return {name: torch.rand(w.shape, generator=subject.random())
            for name, w in subject.weights.items()}

def from_torch(subject):
    return {name: torch.rand_like(w) for name, w in subject.weights.items()}

def from_numpy(subject):
    return {name: w.abs() * np.random.rand() for name, w in subject.weights.items()}

def from_python(subject):
    return {name: w.abs() * random.random() for name, w in subject.weights.items()}

def remembers(subject):
    calls.append(1)
    return {name: w.abs() * len(calls) for name, w in subject.weights.items()}

def inner(subject):
    return subject.model(next(subject.batches())[0]).sum(dim=9)

def outer(subject):
    inner(subject)

def infinite(subject):
    return {name: 1 / (w * 0).abs() for name, w in subject.weights.items()}

def undefined(subject):
    return {name: (w * 0).abs() / (w * 0) for name, w in subject.weights.items()}

def summed(subject):
    return {name: w.sum() for name, w in subject.weights.items()}

def some(subject):
    return {"0.weight": subject.weights["1.weight"]}

def counted(subject):
    return {name: w.int() for name, w in subject.weights.items()}

@traits(examples="none", passes=0)
def blind(subject):
    for x, y in subject.batches():
        pass

@traits(training=True)
def in_training(subject):
    assert subject.model.training
    return good(subject)
"""


def line_of(text):
    return next(k for k, line in enumerate(SOURCE.splitlines(), 1) if text in line)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own_criteria.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("own_criteria", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, CLASSES))


def told(function):
    with pytest.raises(UserError) as error:
        try_criterion(function, network(), SHAPE, CLASSES, f"own:{function.__name__}")
    return str(error.value)


@pytest.mark.parametrize("name", ["good", "drawn", "from_torch", "in_training"])
def test_what_is_right_passes(own, name):
    """Torch's own numbers pass too: scoring seeds them."""
    try_criterion(getattr(own, name), network(), SHAPE, CLASSES, name)


@pytest.mark.parametrize("name", CRITERIA)
def test_every_built_in_criterion_passes(name):
    try_criterion(CRITERIA[name], network(), SHAPE, CLASSES, name)


def test_an_exception_is_told_with_the_line_that_raised_it(own):
    said = told(own.outer)
    assert f"own_criteria.py, line {line_of('dim=9')}, `return subject.model(" in said
    assert "own:outer failed on a small network with IndexError" in said
    assert "Nothing is trained yet" in said


def test_data_that_the_traits_do_not_ask_for_are_missed(own):
    said = told(own.blind)
    assert f"line {line_of('for x, y in')}" in said
    assert "needs data" in said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("summed", "scores of '1.weight' are [], its weight is [6, 16]"),
        ("some", "must return scores for ['1.weight', '3.weight'], got ['0.weight']"),
        ("counted", "must be a float tensor, got torch.int32"),
        ("infinite", "gave 96 of 96 scores of 1.weight that are infinite"),
        ("undefined", "gave 96 of 96 scores of 1.weight that are NaN"),
        ("from_numpy", "gave other scores of 1.weight when it was called again"),
        ("from_python", "gave other scores of 1.weight when it was called again"),
        ("remembers", "gave other scores of 1.weight when it was called again"),
    ],
)
def test_wrong_scores_are_told_with_the_line_of_the_function(own, name, words):
    said = told(getattr(own, name))
    assert words in said
    assert f"own_criteria.py, line {line_of(f'def {name}(')}" in said


def test_global_random_states_and_the_weights_stay(own):
    model = network()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    random.seed(5)
    np.random.seed(5)
    states = random.getstate(), np.random.get_state()[1].copy()
    try_criterion(own.good, model, SHAPE, CLASSES, "good")
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
