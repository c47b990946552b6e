"""``winnow deploy``: a finished run, or a ticket, as one file for inference with its card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command_line import folders, refused, winnow

import winnow as wn
from winnow.data import load_images
from winnow.deployment import folder as deployed_folders

pytestmark = pytest.mark.usefixtures("kernels", "own_environment", "quick")


@pytest.fixture
def quick(monkeypatch):
    """Turns of a moment: the times are not looked at."""
    measured = deployed_folders.latencies
    monkeypatch.setattr(
        deployed_folders, "latencies", lambda *given: measured(*given, turns=2, turn=0.0005)
    )


@pytest.fixture
def ticket(store):
    def drawn(name):
        return json.loads((store / "runs" / name / "run.json").read_text())["run"]["draw"]

    return next(n for n in folders(store) if "dense" not in n and drawn(n) == 0)


def test_a_run_is_deployed_and_measured_on_its_test_images(store, ticket, tmp_path):
    to = tmp_path / "deployed"
    code, out, err = winnow("deploy", ticket, "--to", to, "--store", store)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"file: {to / 'network.safetensors'} (")
    assert [line.split(":")[0] for line in lines[1:3]] == ["batch 1", "batch 64"]
    accuracy = json.loads(winnow("show", ticket, "--store", store).out)["result"]["final"]["test"]
    shown = f"{100 * accuracy:.2f} %"
    assert lines[3].startswith(f"accuracy: {shown} before, {shown} after, of ")
    assert lines[4] == f"card: {to / 'README.md'}"
    module = wn.load_deployed(to)
    images = load_images("digits")
    assert module(torch.randn(3, *images.inputs)).shape == (3, 10)
    card = json.loads((to / "card.json").read_text())
    assert card["data"] == "digits"
    assert card["provenance"]["run"].startswith(ticket[-12:])


def test_a_ticket_file_is_deployed_by_what_its_provenance_says(store, ticket, tmp_path):
    file = tmp_path / "ticket.safetensors"
    assert winnow("ticket", ticket, "--to", file, "--store", store)[0] == 0
    code, out, _ = winnow("deploy", file, "--to", tmp_path / "out", "--format", "torch")
    assert code == 0
    assert "accuracy" not in out
    run, whole = tmp_path / "run", ["--store", store, "--no-shrink"]
    assert winnow("deploy", ticket, "--to", run, *whole)[0] == 0
    program = torch.export.load(tmp_path / "out" / "network.pt2").module()
    x = torch.randn(4, 1, 8, 8)
    assert torch.allclose(program(x)[0], wn.load_deployed(run)(x), atol=1e-5)


def test_a_ticket_of_ones_own_network_needs_its_function(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(
        "from torch import nn\n\n\ndef make():\n"
        "    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 3))\n\n\n"
        "def number():\n    return 7\n"
    )
    model = torch.nn.Sequential(torch.nn.Linear(12, 20), torch.nn.ReLU(), torch.nn.Linear(20, 3))
    mask = wn.Mask({"0.weight": torch.rand(20, 12) < 0.2})
    wn.Ticket(mask, model.state_dict(), model.state_dict()).save("own.safetensors")
    to = ["own.safetensors", "--to", "out"]
    refused(winnow("deploy", *to), "--model FILE.py:FUNCTION", "--input")
    refused(winnow("deploy", *to, "--model", "net.py:make"), "--model and --input go together")
    refused(winnow("deploy", *to, "--model", "net.py:make", "--input", "1x"), "1x")
    refused(winnow("deploy", *to, "--model", "net.py:number", "--input", "12"), "int")
    assert not Path("out").exists()
    assert winnow("deploy", *to, "--model", "net.py:make", "--input", "12", "--int8")[0] == 0
    assert wn.load_deployed("out")(torch.randn(5, 12)).shape == (5, 3)


def test_what_cannot_be_deployed_is_refused(store, ticket, tmp_path):
    to = ["--to", tmp_path / "out", "--store", store]
    refused(winnow("deploy", ticket, *to, "--format", "onyx"), "onyx", "onnx")
    refused(winnow("deploy", ticket, *to, "--beside", "openvino"), "openvino")
    refused(winnow("deploy", ticket, *to, "--push", "me"), "me", "ORG/NAME")
    refused(winnow("deploy", ticket, *to, "--model", "net.py:make"), "are for ticket files")
    dense = next(n for n in folders(store) if "dense" in n)
    refused(winnow("deploy", dense, *to), "has no mask")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    refused(winnow("deploy", ticket, *to), "there already")


def test_a_folder_is_pushed_after_it_is_written(store, ticket, tmp_path, monkeypatch):
    pushed = []

    def push(folder, name):
        assert (folder / "card.json").is_file()
        pushed.append(name)
        return f"https://huggingface.co/{name}"

    monkeypatch.setattr("winnow.deployment.hub.push", push)
    to = ["--to", tmp_path / "out", "--store", store]
    code, out, _ = winnow("deploy", ticket, *to, "--push", "me/digits")
    assert code == 0
    assert pushed == ["me/digits"]
    assert out.splitlines()[-1] == "pushed: https://huggingface.co/me/digits"
