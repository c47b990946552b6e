"""Every command that the documents show exists, with its options, recipes, arms and files."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer
import yaml
from documents import DOCUMENTS, ROOT, blocks, commands

from winnow.algorithms.catalogue import METHODS
from winnow.cli.app import app
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe, load_recipe
from winnow.experiment.recipe.strict_yaml import parse_yaml
from winnow.experiment.store.images import Source

SHOWN = [(page.name, " ".join(words), words) for page in DOCUMENTS for words in commands(page)]
PLACEHOLDER = re.compile(r"[A-Z]{2,}|\[|…")  # `winnow show RUN`, `winnow bench [NETWORK]`


def parsed(words: list[str]) -> dict[str, Any]:
    """What the command line makes of the words, without running them."""
    group = typer.main.get_command(app)
    with group.make_context("winnow", list(words)) as outer:
        name, command, rest = group.resolve_command(outer, [*outer._protected_args, *outer.args])
        if not rest:  # `winnow run`: what is meant is the command
            return {}
        with command.make_context(name, rest, parent=outer) as inner:
            return dict(inner.params)


def recipe_is_there(name: str, overrides: list[str], only: list[str]) -> None:
    recipe = load_recipe(name, overrides)
    arms = expand(name, recipe, Source(60_000, "content")).arm_names
    assert set(only) <= set(arms), arms


def winnow(words: list[str]) -> None:
    given = parsed(words)
    names = map(str, filter(None, given.get("recipes") or [given.get("recipe")]))
    for name in [name for name in names if not PLACEHOLDER.search(name)]:
        if name in ("ours.yaml", "mine.yaml"):  # recipes of pages' own: their tests run them
            continue
        recipe_is_there(name, list(given.get("o") or ()), list(given.get("only") or ()))


def python(words: list[str]) -> None:
    path = ROOT / words[0]
    assert path.is_file(), path
    for option in [word for word in words if word.startswith("--")]:
        assert f'"{option}"' in path.read_text("utf-8") + (ROOT / "bench/script.py").read_text()


def make(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert set(words) <= set(targets)


@pytest.mark.parametrize(
    ("page", "words"),
    [pytest.param(page, words, id=f"{page}: {text}") for page, text, words in SHOWN],
)
def test_a_command_exists(page, words):
    program, *rest = words
    assert program in ("winnow", "python", "make", "pip", "git"), page
    if program == "winnow":
        winnow(rest)
    elif program == "python":
        python(rest)
    elif program == "make":
        make(rest)


def test_the_pages_have_commands_of_each_kind():
    """Else a changed way to write them would leave nothing to test."""
    programs = [words[0] for _, _, words in SHOWN]
    assert programs.count("winnow") > 20
    assert programs.count("python") > 5
    assert programs.count("make") > 3


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_recipes_in_yaml_are_valid(page, tmp_path):
    for block in blocks(page, "yaml"):
        written = parse_yaml(block.text, f"{page.name}, line {block.line}")
        if "methods" in written:  # the list alone
            written = {"compare": written}
        base = load_recipe("compare/digits" if "compare" in written else "lth/digits").dump()
        if "scales" not in written:
            check_recipe({**base, **written}, f"{page.name}, line {block.line}")
            continue
        file = tmp_path / "recipe.yaml"
        file.write_text(yaml.safe_dump({**base, **written}))
        for scale in ("full", *written["scales"]):
            assert load_recipe(str(file), scale=scale).by_line()


def test_readme_counts_what_there_is():
    text = (ROOT / "README.md").read_text("utf-8")
    assert f"{len(METHODS)} methods" in text
