"""Names of recipes and lines in files and links: readable, and never the same twice."""

from __future__ import annotations

import re
from importlib import resources

import pytest
import synthetic_report as made
from hypothesis import given
from hypothesis import strategies as st

from winnow.report.results import Results
from winnow.report.slugs import OF_A_RECIPE, OF_THE_PAGE, Slugs, slugs

words = st.sampled_from(["a", "b", "a-b", "a b", "a/b", "2", "claims", "a-claims", "top", "main"])


def recipe(name: str, *lines: str) -> Results:
    rows = [made.row(line=line, run=line) for line in lines or ("",)]
    plain = {"lines": {line: {} for line in lines}} if lines else {}
    return made.results(rows, name=name, recipe=plain)


@pytest.mark.parametrize(
    ("recipes", "wanted"),
    [
        ([recipe("lth/digits")], ["lth-digits"]),
        ([recipe("x/y")] * 3, ["x-y", "x-y-2", "x-y-3"]),
        ([recipe("x-2"), recipe("x"), recipe("x")], ["x-2", "x", "x-3"]),
        ([recipe("a"), recipe("a-claims")], ["a", "a-claims-2"]),
        ([recipe("top"), recipe("runs-title")], ["top-2", "runs-title-2"]),
        ([recipe("runs")], ["runs-2"]),
    ],
)
def test_recipes_by_hand(recipes: list[Results], wanted: list[str]) -> None:
    assert [one.recipe for one in slugs(recipes)] == wanted


def test_lines_by_hand() -> None:
    (found,) = slugs([recipe("a", "low lr", "low-lr", "cost", "cost-2")])
    assert found == Slugs(
        "a",
        {"low lr": "a-low-lr", "low-lr": "a-low-lr-2", "cost": "a-cost-2", "cost-2": "a-cost-2-2"},
    )
    first, second = slugs([recipe("a", "b"), recipe("a-b")])
    assert (first.lines, second.recipe) == ({"b": "a-b"}, "a-b-2")


@given(st.lists(st.tuples(words, st.lists(words, max_size=4, unique=True)), max_size=5))
def test_no_name_is_there_twice(named: list[tuple[str, list[str]]]) -> None:
    found = slugs([recipe(name, *lines) for name, lines in named])
    names = [*OF_THE_PAGE]
    for one in found:
        names += [one.recipe, *(f"{one.recipe}-{name}" for name in OF_A_RECIPE)]
        names += one.lines.values()
    assert len(set(names)) == len(names)
    for one, (_, lines) in zip(found, named, strict=True):
        assert list(one.lines) == lines
        assert all(line.startswith(f"{one.recipe}-") for line in one.lines.values())


def test_what_the_page_calls_its_elements_is_known() -> None:
    folder = resources.files("winnow.report") / "templates"
    text = "".join(one.read_text("utf-8") for one in folder.iterdir())
    ids = set(re.findall(r'\bid="([^"]*)"', text))
    of_a_recipe = {f"{{{{ one.slug }}}}-{name}" for name in OF_A_RECIPE}
    assert ids == {*OF_THE_PAGE, *of_a_recipe, "{{ one.slug }}", "{{ part.slug }}"}
