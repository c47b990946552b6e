"""The ``winnow`` command: its commands by name, in the order of the help."""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from winnow.cli.bench import bench_command
from winnow.cli.catalogue import methods_command, recipes_command
from winnow.cli.check import check_command
from winnow.cli.claims import claims_command
from winnow.cli.deploy import deploy_command
from winnow.cli.doctor import doctor_command
from winnow.cli.enter import enter_command
from winnow.cli.exits import guarded
from winnow.cli.explain import explain_command
from winnow.cli.export import export_command
from winnow.cli.find import find_command
from winnow.cli.plan import plan_command
from winnow.cli.report import report_command
from winnow.cli.run import run_command
from winnow.cli.store import ls_command, show_command
from winnow.cli.tickets import import_command, ticket_command

COMMANDS: Mapping[str, Callable[..., Any]] = {
    "find": find_command,
    "run": run_command,
    "plan": plan_command,
    "recipes": recipes_command,
    "methods": methods_command,
    "ls": ls_command,
    "show": show_command,
    "check": check_command,
    "ticket": ticket_command,
    "enter": enter_command,
    "explain": explain_command,
    "report": report_command,
    "claims": claims_command,
    "export": export_command,
    "bench": bench_command,
    "deploy": deploy_command,
    "import": import_command,
    "doctor": doctor_command,
}

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # markup would take "[default: …]" for a style, and draw boxes in pipes
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find sparse sub-networks (lottery tickets), train them, explain them and ship them.",
)
for _name, _command in COMMANDS.items():
    app.command(_name)(guarded(_command))

_OBJECTS = 50_000
"""New objects between searches for garbage. Imports make many that stay: with Python's 700 a tenth
of a short command goes into looking at them."""


def run_app() -> None:
    """Run the command that was typed. Ends in SystemExit."""
    gc.set_threshold(_OBJECTS)
    for stream in (sys.stdout, sys.stderr):  # a terminal without ≥ or é shows a question mark
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        from winnow import __version__

        print(f"winnow {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass
