"""Every script in ``bench/`` starts, measures something in its smoke run, and leaves no file."""

from __future__ import annotations

import ast
import json
import math
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
TEXTS = {path.name: path.read_text("utf-8") for path in sorted(BENCH.glob("*.py"))}
SCRIPTS = [name for name, text in TEXTS.items() if "\ndef main(" in text]
SHARED = {
    "all.py",
    "elsewhere.py",
    "family.py",
    "gpu_checks.py",
    "gpu_jobs.py",
    "jax_steps.py",
    "lenet.py",
    "lenet_jax.py",
    "script.py",
    "turns.py",
    "whole_step.py",
}


def results() -> dict[str, tuple[int, bytes]]:
    files = [
        path for path in BENCH.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_what_is_no_script_is_what_scripts_share():
    assert TEXTS.keys() - set(SCRIPTS) == SHARED


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_states_its_claim_its_peer_and_its_command(name):
    about = ast.get_docstring(ast.parse(TEXTS[name])) or ""
    claim, peer = about.splitlines()[:2]
    assert claim.startswith("Claim: ")
    assert peer.startswith("Peer: ")
    assert re.search(
        rf"^    python bench/{name} .*\[--smoke\]$", about.replace("\n   " + " " * 20, " "), re.M
    )
    file = rf"bench/results/{name.removesuffix('.py')}(-NAME)?\.json"  # one for each machine
    assert re.search(file, " ".join(about.split()))


def numbers(value: object) -> Iterator[float]:
    """All measured numbers in a bench's answer."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from () if key == "machine" else numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, float):
        yield value


def answers(text: str) -> Iterator[object]:
    """The JSON values that a bench prints, one after the other."""
    while text := text.strip():
        value, end = json.JSONDecoder().raw_decode(text)
        yield value
        text = text[end:]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs(name, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCH)
    before = results()
    runpy.run_path(str(BENCH / name))["main"](["--smoke"])
    measured = list(numbers(list(answers(capsys.readouterr().out))))
    assert len(measured) >= 2
    assert all(0 <= number < math.inf for number in measured)
    assert results() == before
