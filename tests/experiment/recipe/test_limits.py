"""Hostile recipes: refused with a clear error, in a moment and in little memory."""

from __future__ import annotations

import contextlib
import resource
import string
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import winnow as wn
from winnow.errors import UserError
from winnow.experiment.recipe import limits
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.recipe.names import shipped, shipped_text
from winnow.experiment.recipe.objects import plain_values
from winnow.experiment.recipe.strict_yaml import parse_yaml

BASE = """
data: {name: digits}
model: {name: lenet-300-100, hidden: [9, 5]}
train: {steps: 20it, batch: 50, optimizer: {name: adam, lr: 5e-3}}
"""


def _laughs(leaf: str) -> str:
    lines = [f"a0: &a0 {leaf}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines)


def _maps() -> str:
    lines = ["a0: &a0 {x: lol}"]
    lines += [
        f"a{n}: &a{n} {{{', '.join(f'k{i}: *a{n - 1}' for i in range(9))}}}" for n in range(1, 12)
    ]
    return "\n".join(lines)


HOSTILE = {
    "aliases": _laughs("lol"),
    "aliases of mappings": _maps(),
    "aliases of a long text": f"a: &a {'x' * 50_000}\nb: [{', '.join(['*a'] * 1000)}]",
    "an alias of itself": "a: &a [*a]",
    "a mapping in itself": "a: &a {b: {c: *a}}",
    "merge keys in a circle": "a: &a\n  <<: *a",
    "an unknown alias": "a: *nowhere",
    "nested lists": f"a: {'[' * 300}{']' * 300}",
    "nested for ever": "[" * 200_000,
    "nested mappings": "".join(f"{' ' * n}a:\n" for n in range(300)),
    "many digits": f"replicates: {'9' * 5000}",
    "many hexadecimal digits": f"replicates: 0x{'f' * 5000}",
    "many digits of a fraction": f"a: 0.{'1' * 5000}",
    "sixty to a power": f"a: 1{':59' * 200}",
    "half a number": "a: 0x_",
    "no number": "replicates: !!int x",
    "no fraction": "a: !!float x",
    "no truth": "a: !!bool x",
    "nothing": "a: !!null x",
    "no moment": "a: !!timestamp 2001-99-99",
    "no bytes": "a: !!binary é",
    "a set": "a: !!set {x, y}",
    "pairs": "a: !!pairs [x]",
    "an ordered map": "a: !!omap [x]",
    "a mapping that is a list": "a: !!map [1]",
    "a list that is a mapping": "a: !!seq {b: 1}",
    "a text that is a mapping": "a: !!str {b: 1}",
    "python": "a: !!python/object/apply:os.system [true]",
    "an own tag": "a: !mine 3",
    "a tag without a name": "a: ! 3",
    "a list as a key": "[a]: 1",
    "a key twice": "replicates: 1\nreplicates: 2",
    "a NUL": "a: \x00",
    "an escaped NUL": 'title: 1\na: "\\0"',
    "half a character": 'a: "\\ud800"',
    "half a character written": "a: \ud800",
    "a million densities": f"compare: {{densities: [{', '.join(['0.5'] * 50_000)}]}}",
    "a million keys": "\n".join(f"k{n}: 1" for n in range(25_000)),
    "unknown keys": "\n".join(f"trian{n}: 1" for n in range(9_000)),
    "a long key": f"{'trai' * 20_000}: 1",
    "methods": f"compare: {{methods: [{', '.join(['snip'] * 9_000)}]}}",
    "wrong densities": f"compare: {{methods: [snip], densities: [{', '.join(['a'] * 9_000)}]}}",
    "lines": f"lines: {{{', '.join(f'l{n}: {{}}' for n in range(9_000))}}}",
    "large": "#" * 40_000_000,
    "several": "a: 1\n---\nb: 2",
    "no mapping": "3",
    "nothing at all": "",
    "steps": f"train.steps: {'9' * 5000}it",
}


@pytest.mark.parametrize("written", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_recipe_is_refused_at_once(written: str, tmp_path) -> None:
    file = tmp_path / "hostile.yaml"
    file.write_bytes(written.encode("utf-8", "surrogatepass"))
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(UserError) as refused:
        load_recipe(str(file))
    assert time.process_time() - begun < 1.5  # seconds of work; ten times that before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    assert "hostile.yaml" in str(refused.value)
    assert len(str(refused.value)) < 10_000


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"\xff\xfe" + BASE.encode("utf-16-le"), "no text in UTF-8"),
        (BASE.encode() + b"title: \xe9", "no text in UTF-8"),
    ],
    ids=range(2),
)
def test_what_is_no_utf_8_is_said_to_be_none(written: bytes, told: str, tmp_path) -> None:
    (tmp_path / "r.yaml").write_bytes(written)
    with pytest.raises(UserError, match=told):
        load_recipe(str(tmp_path / "r.yaml"))


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load_recipe(str(tmp_path / "r.yaml")).data.name == "digits"


@pytest.mark.parametrize(
    "override",
    ["a" + ".a" * 5000 + "=1", f"replicates={'9' * 5000}", "title=\udcff", "=" * 100_000,
     f"train.steps={'9' * 5000}it", f"train.steps={'9' * 400}ep",
     "train.steps=100000000000000000000it",
     "model.hidden=" + "[" * 100_000, f"model.options={{a: {'b' * 300_000}}}"],
    ids=range(9),
)  # fmt: skip
def test_hostile_overrides_are_refused(override: str, tmp_path) -> None:
    (tmp_path / "r.yaml").write_text(BASE)
    with pytest.raises(UserError) as refused:
        load_recipe(str(tmp_path / "r.yaml"), [override])
    assert len(str(refused.value)) < 2000


def _endless() -> dict[str, object]:
    within: dict[str, object] = {}
    within["in"] = within
    return within


def _doubled() -> list[object]:
    value: list[object] = ["lol"]
    for _ in range(40):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "value",
    [_endless(), _doubled(), 10**5000, object(), {1, 2}],
    ids=["endless", "doubled", "digits", "object", "set"],
)
def test_hostile_values_in_python_are_refused(value: object, tmp_path) -> None:
    with pytest.raises(UserError):
        wn.run({"data": {"name": "digits"}, "model": value}, store=tmp_path)
    with pytest.raises(UserError):
        wn.run("lth/digits", overrides={"model.options": value}, store=tmp_path)
    with pytest.raises(UserError):
        plain_values(value, "recipe")


@pytest.mark.parametrize(
    "name", ["a\0.yaml", "x" * 5000 + ".yaml", "\udcff.yaml", ".", "/dev/zero"], ids=range(5)
)
def test_names_that_no_file_has(name: str) -> None:
    with pytest.raises(UserError):
        load_recipe(name)


def test_every_shipped_recipe_is_far_from_the_limits() -> None:
    for name in shipped():
        text = shipped_text(name)
        assert 4 * len(text) < limits.SIZE
        assert 4 * len(list(yaml.parse(text, yaml.CSafeLoader))) < limits.MOST_VALUES


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(string.printable, max_size=20),
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=6)
    ),
    max_leaves=60,
)


@given(_VALUES)
@settings(max_examples=150, deadline=None)
def test_what_yaml_writes_within_the_limits_is_read_back(value: object) -> None:
    assert parse_yaml(yaml.safe_dump(value), "here") == value


@given(st.integers(0, 80), st.sampled_from(["[]", "{}"]))
@settings(max_examples=60, deadline=None)
def test_depth_decides(depth: int, brackets: str) -> None:
    opening = "[" if brackets == "[]" else "{a: "
    text = opening * depth + "1" + brackets[1] * depth
    if depth <= limits.DEPTH:
        parse_yaml(text, "here")
    else:
        with pytest.raises(UserError, match="nested deeper"):
            parse_yaml(text, "here")


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_aliases_count_as_what_they_stand_for(levels: int, each: int, length: int) -> None:
    lines = [f"a0: &a0 {'x' * length}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * each)}]" for n in range(1, levels)]
    sizes = [1]
    for _ in range(1, levels):
        sizes.append(1 + each * sizes[-1])
    parts = sum(sizes) + levels + 2  # the keys, the mapping, and the text itself
    leaves = sum(each**n for n in range(levels))
    characters = leaves * length + sum(len(f"a{n}") for n in range(levels))
    fits = parts <= limits.MOST_VALUES and characters <= limits.CHARACTERS
    with contextlib.nullcontext() if fits else pytest.raises(UserError, match="more than"):
        parse_yaml("\n".join(lines), "here")


@given(st.text(st.characters(), max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(UserError):
        parse_yaml(text, "here")
