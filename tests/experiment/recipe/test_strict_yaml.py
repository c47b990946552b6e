"""YAML as recipes are read, the same with libyaml and without."""

from __future__ import annotations

import pytest
import yaml

from winnow.errors import UserError
from winnow.experiment.recipe import strict_yaml
from winnow.experiment.recipe.load import recipe_text
from winnow.experiment.recipe.names import shipped
from winnow.experiment.recipe.strict_yaml import parse_yaml

TEXTS = (
    "a: 1e-3", "a: no", "a: 0x10", "a: 1_000", "a: 2001-01-01", "a: [1., .5, +3.2, -1e5, .inf]",
    "a: .nan", "a: 5it\nb: 0.5ep", "a: true\nb: yes", "- 1\n- {b: null, c: ~}", "", "a: 'x\n\n y'",
    "a: &n {b: 1}\nc: *n", "{a: 1}: 2", "1: 2", "a: 1\na: 2", "a: [1", "\tdata: 1", "a: b: c",
    "a: !!python/object:os.system {}", "\x00", "a: !mine 3", "%YAML 9.9\n---\na: 1",
    "a: 1\n---\nb: 2",
    "<<: {a: 1}\nb: 2", "a: |\n  x\n  y", "a: >-\n  x\n  y", "é: ≥", "a: \"\\u00e9\"", "a: @b",
)  # fmt: skip


def read(text):
    try:
        return repr(parse_yaml(text, "here"))
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("text", TEXTS)
def test_libyaml_changes_no_value_and_no_message(text, monkeypatch) -> None:
    quick = read(text)
    monkeypatch.setattr(strict_yaml, "_QUICK", strict_yaml._LOADER)
    assert read(text) == quick


def test_every_shipped_recipe_is_read_alike(monkeypatch) -> None:
    texts = [recipe_text(name) for name in shipped()]
    quick = [read(text) for text in texts[::6]]
    monkeypatch.setattr(strict_yaml, "_QUICK", strict_yaml._LOADER)
    assert [read(text) for text in texts[::6]] == quick


def test_libyaml_is_what_reads_where_it_is() -> None:
    assert issubclass(strict_yaml._QUICK, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def test_numbers_words_and_keys() -> None:
    found = parse_yaml("a: 1e-3\nb: no\nc: true\nd: [1, -.5]\ne: 5it", "here")
    assert found == {"a": 1e-3, "b": "no", "c": True, "d": [1, -0.5], "e": "5it"}
    with pytest.raises(UserError, match="here: line 2: the key 'a' stands twice"):
        parse_yaml("a: 1\na: 2", "here")
