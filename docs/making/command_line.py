"""The commands, their arguments and options as Markdown, from the command line itself."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from making.tables import table
from winnow.cli.app import COMMANDS, app

_EVERYWHERE = ("--help",)


def command_line() -> str:
    """A section for each command, in the order of the help."""
    group: Any = typer.main.get_command(app)
    return "\n\n".join(_section(name, group.commands[name]) for name in COMMANDS)


def _section(name: str, command: Any) -> str:
    shown = [one for one in command.params if not set(_EVERYWHERE) & set(one.opts)]
    arguments = [_typed(one) for one in shown if _is_argument(one)]
    options = ["[OPTIONS]"] if len(arguments) < len(shown) else []
    usage = " ".join(["winnow", name, *options, *arguments])
    parts = [f"## winnow {name}\n{inspect.cleandoc(command.help)}", f"```text\n{usage}\n```"]
    if shown:
        rows = [(_spelt(one), _explained(one)) for one in shown]
        parts.append(table(("argument or option", "what it is"), rows))
    return "\n\n".join(parts)


def _is_argument(one: Any) -> bool:
    return bool(one.param_type_name == "argument")


def _typed(one: Any) -> str:
    """An argument as it stands in the usage: in brackets where it may be left out."""
    name: str = one.metavar or one.name.upper()
    return name if one.required or name.startswith("[") else f"[{name}]"


def _spelt(one: Any) -> str:
    if _is_argument(one):
        return f"`{_typed(one)}`"
    value = "" if one.is_flag else f" {one.metavar or one.type.name.upper()}"
    return ", ".join(f"`{name}{value}`" for name in one.opts)


def _explained(one: Any) -> str:
    """The help, and the default where the help does not have it."""
    about = one.help or ""
    if _is_argument(one) or one.is_flag or one.default in (None, "") or "default" in about:
        return about
    return f"{about} Default: `{one.default}`."
