"""The documents' Python, run as it is written, and what it leaves."""

from __future__ import annotations

import pytest
import torch
from documents import DOCUMENTS, README, ROOT, TUTORIALS, blocks, run_python

import winnow as wn

SHORT = ["train.steps=20it", "train.evaluate=10it", "prune.rounds=1", "engine=dense"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A reader's folder; experiments are shortened."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WINNOW_STORE", raising=False)
    run = wn.run

    def shortened(recipe, **options):
        return run(recipe, **{**options, "overrides": SHORT, "jobs": 1})

    monkeypatch.setattr(wn, "run", shortened)
    torch.manual_seed(0)
    return tmp_path


def test_documents_with_python_are_run_here():
    with_python = {page.name for page in DOCUMENTS if blocks(page, "python")}
    elsewhere = {"enter-and-explain.md", "trainers.md", *(f"{name}.md" for name in TUTORIALS)}
    here = {"README.md", "analyses.md", "python-api.md", "rows.md"}
    assert with_python - elsewhere == here


def test_readme(folder):
    found = run_python(README, {})
    ticket = wn.load(folder / "ticket.safetensors")
    assert ticket.mask.kept == 1598  # 7,400 weights, three times 40 % less
    model = found["make_model"]()
    ticket.apply(model, weights="final")
    accuracy = (model(found["x"].float() / 16).argmax(1) == found["y"]).float().mean()
    assert accuracy > 0.9


def test_python_api():
    page = ROOT / "docs/python-api.md"
    found = run_python(page, {})
    assert found["result"].page.is_file()
    named = {name for name in wn.__all__ if name != "__version__"}
    text = page.read_text("utf-8")
    headed = {line for line in text.splitlines() if line.startswith("## wn.")}
    assert {part for line in headed for part in line[3:].split(", ")} == {f"wn.{n}" for n in named}


def test_rows():
    found = run_python(ROOT / "docs/rows.md", {})
    assert {row["round"] for row in found["tickets"]} == {"0", "1"}


def test_analyses():
    found = run_python(ROOT / "docs/analyses.md", {})
    assert found["related"].n == 5
