"""The table of kinds: complete, and enough to describe and plan every method."""

from __future__ import annotations

from typing import get_args

import pytest
from sample_plans import comparison, points_of

from winnow.algorithms.catalogue import METHODS, KindName
from winnow.experiment.plan.kinds import (
    METHOD_KINDS,
    cost_of_method,
    options_of_method,
    text_of_method,
)


def test_every_kind_of_the_catalogue_is_planned():
    assert set(METHOD_KINDS) == set(get_args(KindName))
    assert {entry.kind for entry in METHODS.values()} == set(METHOD_KINDS)
    assert all(kind.name == name for name, kind in METHOD_KINDS.items())


@pytest.mark.parametrize("name", METHODS)
def test_the_defaults_that_are_described_are_those_that_are_planned(name):
    """Writing out a method's options plans the very same runs; some defaults stand elsewhere."""
    elsewhere = ("train.steps", "train.batch", "compare.controls", "compare.scope", "prune.rewind")
    options = options_of_method(METHODS[name])
    written = {key: value for key, value in options.items() if value not in elsewhere}
    bare, full = (comparison([method], [0.2]) for method in (name, {"name": name, **written}))
    assert [n.run for n in points_of(full, name)] == [n.run for n in points_of(bare, name)]


def test_texts_say_what_code_says_and_what_comparisons_add():
    texts = {name: text_of_method(entry) for name, entry in METHODS.items()}
    assert all(entry.text.strip() in texts[name] for name, entry in METHODS.items())
    for name, words in (
        ("snip", "controls``: further arms"),
        ("obd", "Renda et al. 2020"),
        ("imp", "late resetting"),
        ("supermask", "starts at the density"),
        ("edge-popup", "scale_fan"),
        ("jackpot", "the folder of a run"),
    ):
        assert words in texts[name]
    assert "starts at the density" not in texts["edge-popup"]
    assert "scale_fan" not in texts["jackpot"]


def test_costs_in_words_are_those_of_the_kind_and_what_comes_on_top():
    costs = {name: cost_of_method(METHODS[name]) for name in ("snip", "set", "gradual", "imp")}
    assert costs == {
        "snip": "one training, 1 pass over 10 examples a class",
        "set": "one training",
        "gradual": "one training, dense at first",
        "imp": "a dense training, then one for each density so far",
    }
