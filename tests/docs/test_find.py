"""The README's way from a network of one's own to a file that is measured, as it stands."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch
from command_line import winnow
from documents import README, blocks

import winnow as wn
from winnow.deployment import folder as deployed_folders
from winnow.report import Paths

SHORT = ["--steps", "20it", "-o", "engine=dense", "--jobs", "1"]


@pytest.fixture
def folder(tmp_path, monkeypatch, own_cache):  # noqa: ARG001
    """A reader's folder, without the report and with turns of a moment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WINNOW_STORE", raising=False)
    monkeypatch.setattr("winnow.report.write_report", lambda _, out, **__: Paths(out, out, []))
    measured = deployed_folders.latencies
    monkeypatch.setattr(
        deployed_folders, "latencies", lambda *given: measured(*given, turns=2, turn=0.0005)
    )
    return tmp_path


@pytest.mark.slow
def test_from_a_network_to_a_measured_file(kernels, folder):  # noqa: ARG001
    (net,) = blocks(README, "py")
    (shell,) = [b for b in blocks(README, "sh") if "winnow find" in b.text]
    Path("net.py").write_text(net.text)
    commands = [shlex.split(line)[1:] for line in shell.text.splitlines()]
    assert len(list(filter(None, net.text.splitlines()))) + len(commands) == 5
    for words in commands:
        answer = winnow(*words, *(SHORT if words[0] == "find" else ()))
        assert answer.code == 0, answer.err
    assert wn.load("ticket.safetensors").mask.kept == 370
    assert wn.load_deployed("deployed")(torch.randn(3, 1, 8, 8)).shape == (3, 10)
    card = json.loads((folder / "deployed" / "card.json").read_text())
    assert card["before"]["examples"] == card["after"]["examples"] == 360
