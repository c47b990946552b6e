"""The options that change a recipe, the same of every command that has them."""

from __future__ import annotations

import inspect

import pytest
import typer

from winnow.cli.app import COMMANDS
from winnow.cli.changes import Changes, changing
from winnow.experiments import Asked

OPTIONS = {"o": None, "replicates": None, "only": None, "line": None, "scale": "full"}


@pytest.mark.parametrize("name", ["plan", "run", "report", "claims", "export"])
def test_commands_show_the_options_in_place_of_the_parameter(name) -> None:
    shown = inspect.signature(COMMANDS[name]).parameters
    assert {key: shown[key].default for key in OPTIONS} == OPTIONS
    assert "changes" not in shown


def test_what_is_typed_arrives_as_a_value() -> None:
    seen: list[tuple[str, Changes, int]] = []

    @changing
    def command(recipe: str, changes: Changes, more: int = 3) -> None:
        seen.append((recipe, changes, more))

    app = typer.Typer()
    app.command()(command)
    typed = "r -o a=1 -o b=2 --replicates 2 --only x --line y --scale small --more 4"
    app(typed.split(), standalone_mode=False)
    app(["r"], standalone_mode=False)
    whole = Changes(("a=1", "b=2"), 2, ("x",), ("y",), "small")
    assert seen == [("r", whole, 4), ("r", Changes(), 3)]
    assert whole.ask("lth/digits") == Asked(
        "lth/digits", ("a=1", "b=2"), 2, ("x",), ("y",), "small"
    )


def test_a_command_may_be_called_without_any_option() -> None:
    seen: list[Changes] = []

    @changing
    def command(changes: Changes) -> None:
        seen.append(changes)

    command()
    command(scale="smoke")
    assert seen == [Changes(), Changes(scale="smoke")]
