"""The whole of the command line: its help, its version, and how it prints."""

from __future__ import annotations

import subprocess
import sys

import pytest
from command_line import process, winnow

import winnow as wn

pytestmark = pytest.mark.usefixtures("own_environment")
COMMANDS = (
    *("run", "plan", "recipes", "methods", "ls", "show", "report", "claims", "bench"),
    *("ticket", "import", "doctor"),
)


def test_help_is_quick_as_it_imports_no_torch():
    code = (
        "import sys; from winnow.cli import main; sys.argv = ['winnow', *sys.argv[1:]]\n"
        "try: main()\n"
        "finally: print({'torch', 'numpy', 'yaml'} & set(sys.modules), file=sys.stderr)"
    )
    for arguments in (["--help"], *([command, "--help"] for command in COMMANDS)):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("Usage: winnow")
        assert done.stderr == "set()\n"


def test_help_names_the_commands_and_every_default():
    whole = winnow("--help").out
    assert all(f"\n  {command} " in whole for command in COMMANDS)
    told = winnow("run", "-h").out
    assert "[default: $WINNOW_STORE, else ./runs]" in told
    assert "[default: cores]" in told


def test_the_version():
    assert winnow("--version") == (0, f"winnow {wn.__version__}\n", "")


def test_a_terminal_without_the_signs_shows_question_marks(recipe, store):
    done = process("run", recipe, "--store", store, "-q", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\npage: " in done.stdout


def test_a_pipe_gets_whole_lines_however_narrow(recipe, store):
    done = process("plan", recipe, "--store", store, "--runs", COLUMNS="40")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) > 80
    assert "\x1b" not in done.stdout
