"""``docs/own-model-and-data.md``, done: its files written, its commands and its script run."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from command_line import winnow
from page import ROOT, blocks, do

PAGE = "own-model-and-data"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WINNOW_STORE", raising=False)
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(
        "PYTHONPATH",
        os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]),
    )
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("winnow_outside"):
            del sys.modules[name]


@pytest.mark.slow
def test_the_page(folder):
    do(PAGE, folder)
    assert "14 runs done" in winnow("plan", "mine.yaml").out
    script = [sys.executable, "run.py"]
    first = subprocess.run(script, capture_output=True, text=True, check=True)
    assert "80 % of the weights" in first.stdout
    assert subprocess.run(script, capture_output=True, text=True, check=True).stdout == first.stdout
    (recipe,) = (folder / "runs" / "recipes").iterdir()
    (source,) = (folder / "runs" / "own").iterdir()
    assert "WIDTH = 24" in source.read_text()
    assert "torch.arange" not in source.read_text()
    assert "2 runs done" in winnow("plan", recipe).out


def test_the_folder_of_images_is_planned(folder):
    image = pytest.importorskip("PIL.Image")
    (files,) = [b.text for b in blocks(PAGE) if b.kind == "text" and "flowers" in b.text]
    (data,) = [b.text for b in blocks(PAGE) if b.kind == "yaml" and not b.file]
    named = [word for word in files.split() if word.startswith("flowers/")]
    assert len(named) == 4
    for word in named:
        place = (folder / word).parent
        place.mkdir(parents=True)
        for number in range(60):
            image.fromarray(np.full((6, 6, 3), number, np.uint8)).save(place / f"{number}.png")
    for block in blocks(PAGE):
        if block.file:
            (folder / block.file).write_text(block.text)
    text = (folder / "mine.yaml").read_text().splitlines()
    recipe = "\n".join(line for line in text if not line.startswith("data:")) + "\n" + data
    (folder / "mine.yaml").write_text(recipe)
    answer = winnow("plan", "mine.yaml")
    assert answer.code == 0, answer.err
    assert "14 missing" in answer.out
