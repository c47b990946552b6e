"""Lines of a recipe: what they change, in which order, and that a dump of it says the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.errors import UserError
from winnow.experiment.recipe.lines import differences, line_of, set_dotted
from winnow.experiment.recipe.load import check_recipe, load_recipe

TEXT = """
title: small
data: {name: digits, validation: 200}
model: {name: lenet-300-100}
train: {steps: 300it, batch: 60, optimizer: {name: adam, lr: 1.2e-3}, evaluate: 20it}
prune: {rounds: 3, rates: {output: 0.1}}
replicates: 2
lines:
  slow: {train.optimizer.lr: 1e-4}
  sgd: {train.optimizer: {name: sgd, lr: 0.1}, prune.rates: {}, train.steps: 400it}
  as-it-is: {}
scales:
  small: {train.steps: 100it}
  smoke: {train.steps: 40it, replicates: 1, lines: {sgd: {train.steps: 60it}, slow: null}}
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "lines.yaml"
    file.write_text(TEXT)
    return str(file)


def test_lines_are_the_recipe_with_their_changes(path):
    recipe = load_recipe(path)
    lines = recipe.by_line()
    assert list(lines) == ["slow", "sgd", "as-it-is"]
    assert lines["slow"].train.optimizer.lr == 1e-4
    assert (lines["sgd"].train.optimizer.name, lines["sgd"].train.steps) == ("sgd", "400it")
    assert lines["sgd"].prune.rates == {}
    assert lines["as-it-is"].dump() == {k: v for k, v in recipe.dump().items() if k != "lines"}
    assert all(not line.lines for line in lines.values())


def test_a_recipe_without_lines_is_its_only_line():
    recipe = load_recipe("lth/digits")
    assert recipe.by_line() == {"": recipe}
    assert "lines" not in recipe.dump()


def test_a_scale_comes_after_a_line_and_its_own_words_after_that(path):
    small, smoke = (load_recipe(path, scale=scale) for scale in ("small", "smoke"))
    steps = {line: recipe.train.steps for line, recipe in small.by_line().items()}
    assert steps == {"slow": "100it", "sgd": "100it", "as-it-is": "100it"}
    assert {k: r.train.steps for k, r in smoke.by_line().items()} == {
        "sgd": "60it",
        "as-it-is": "40it",
    }
    assert {recipe.scale for recipe in smoke.by_line().values()} == {"smoke"}
    assert smoke.replicates == 1


def test_overrides_come_last_in_every_line(path):
    recipe = load_recipe(path, ["train.steps=7it"], replicates=4, scale="smoke")
    assert {line.train.steps for line in recipe.by_line().values()} == {"7it"}
    assert {line.replicates for line in recipe.by_line().values()} == {4}


@pytest.mark.parametrize("scale", ["full", "small", "smoke"])
def test_a_dump_loads_to_the_same_recipe(path, scale):
    recipe = load_recipe(path, scale=scale)
    again = check_recipe(recipe.dump(), "dumped")
    assert again == recipe
    assert again.by_line() == recipe.by_line()
    for line, own in recipe.by_line().items():
        assert check_recipe(line_of(recipe.dump(), line), "line") == own


def test_lines_that_become_the_same_are_named(path):
    with pytest.raises(UserError, match="the lines slow and as-it-is are the same"):
        load_recipe(path, ["train.optimizer.lr=0.5"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("slow: {train.optimizer.lr: 1e-4}", "slow: {train.optimizer.rate: 1}", "line slow is not"),
        ("slow: {train.optimizer.lr: 1e-4}", "slow: 3", "lines is"),
        ("slow: {train.optimizer.lr: 1e-4}", "slow: {replicates.x.y: 1}", "no key 'y'"),
        ("slow: null}", "fast: null}", "unknown line 'fast'"),
        ("small: {train.steps: 100it}", "tiny: {train.steps: 100it}", "scales is"),
        ("small: {train.steps: 100it}", "small: 100it", "scales is"),
        ("lines: {sgd: {train.steps: 60it}, slow: null}", "lines: 3", "lines of scale smoke is 3"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, old, new, words):
    assert old in TEXT
    file = tmp_path / "wrong.yaml"
    file.write_text(TEXT.replace(old, new))
    scale = "smoke" if "smoke" in words or "fast" in words else "full"
    with pytest.raises(UserError, match=words):
        load_recipe(str(file), scale=scale)


def test_a_scale_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UserError, match=r"no scale 'medium'\. It has full"):
        load_recipe("lth/digits", scale="medium")


KEYS = st.text("abc", min_size=1, max_size=2)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.lists(st.integers(0, 1), max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
PLAIN = st.dictionaries(KEYS, VALUES, max_size=4)


def without_none(values):
    """At the top None is as good as nothing: a dump leaves such keys out."""
    return {key: value for key, value in values.items() if value is not None}


@given(PLAIN, PLAIN)
def test_differences_turn_one_into_the_other(base, other):
    changed = dict(base)
    for key, value in differences(base, other).items():
        set_dotted(changed, key, value, "test")
    assert without_none(changed) == without_none(other)
    assert differences(base, base) == {}


@given(PLAIN, PLAIN)
def test_setting_keys_never_changes_what_was_given(base, other):
    before = repr(base)
    changed = dict(base)
    for key, value in differences(base, other).items():
        set_dotted(changed, key, value, "test")
    assert repr(base) == before
