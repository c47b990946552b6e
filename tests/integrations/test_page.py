"""docs/trainers.md, run as it is written: each half where its trainer is installed."""

from __future__ import annotations

import logging

import pytest
import torch
from documents import ROOT, blocks

PAGE = ROOT / "docs" / "trainers.md"

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec"),
    pytest.mark.filterwarnings("ignore:The '.*dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches .* is smaller than"),
]


def run_half(library: str) -> dict:
    """The page's Python from the first block that imports the library to the next library's."""
    names: dict = {}
    running = False
    for block in blocks(PAGE, "python"):
        if "from winnow.integrations." in block.text:
            running = f"from winnow.integrations.{library} " in block.text
        if running:
            shifted = "\n" * (block.line - 1) + block.text
            exec(compile(shifted, str(PAGE), "exec"), names)
    return names


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield tmp_path


def is_zero(model, mask, prefix=""):
    return all(not model.get_parameter(f"{prefix}{n}")[~mask[n]].any() for n in mask)


def test_lightning(folder):
    pytest.importorskip("lightning.pytorch", reason="needs winnow[lightning]")
    done = run_half("lightning")
    assert done["sparse"].mask.density == pytest.approx(0.1, abs=1e-3)
    assert is_zero(done["module"], done["sparse"].mask)
    assert done["SparseCallback"].mask_of(folder / "rigl.ckpt") == done["sparse"].mask
    assert done["ticket"].mask.density == pytest.approx(0.125, abs=1e-3)
    assert is_zero(done["again"], done["ticket"].mask)
    mask = done["sparse_images"].mask
    assert is_zero(done["images"], mask)
    assert mask.density == pytest.approx(0.3, abs=2e-3)
    assert any("conv2" in name for name in mask)
    right = done["again"].net(done["x"][1400:]).argmax(1) == done["y"][1400:]
    assert right.float().mean() > 0.85


def test_transformers(folder):
    pytest.importorskip("transformers", reason="needs winnow[transformers]")
    done = run_half("transformers")
    assert done["sparse"].mask.density == pytest.approx(0.2, abs=1e-3)
    assert is_zero(done["model"], done["sparse"].mask)
    assert len(done["sparse"].mask) == 8
    assert set(done["mask"].densities.values()) == {0.5}
    assert is_zero(done["dense"], done["mask"])
    assert done["trainer"].state.global_step == 60
    assert (folder / "gpt2" / "checkpoint-60" / "winnow.safetensors").is_file()
    logging.getLogger("transformers").setLevel(logging.WARNING)
