"""The folder of a deployed network: one file, its card, whole or not at all."""

from __future__ import annotations

import json

import pytest
import torch
from test_deploying import IMAGES, close, masked, network

import winnow as wn
from winnow.deployment import folder as folders

LABELS = torch.arange(9) % 5


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Turns of a moment: the times are not looked at."""
    measured = folders.latencies
    monkeypatch.setattr(folders, "latencies", lambda *given: measured(*given, turns=2, turn=0.0005))


@pytest.fixture
def case():
    model = network().eval()
    drawn = {n: torch.rand(p.shape) < 0.3 for n, p in model.named_parameters() if p.dim() > 1}
    return model, wn.Mask(drawn)


@pytest.mark.parametrize(
    ("kind", "file"), [("sparse", "network.safetensors"), ("torch", "network.pt2")]
)
def test_a_folder_has_one_file_and_its_card(case, tmp_path, kind, file):
    model, mask = case
    to = tmp_path / "new" / "deployed"
    wn.deploy(
        model, mask, IMAGES, to=to, format=kind, data=(IMAGES, LABELS), title="Five kinds",
        run="kernels",
    )  # fmt: skip
    assert sorted(path.name for path in to.iterdir()) == ["README.md", "card.json", file]
    card = json.loads((to / "card.json").read_text())
    assert (card["title"], card["format"], card["file"]) == ("Five kinds", kind, file)
    assert card["size"] == (to / file).stat().st_size
    right = int((masked(model, mask)(IMAGES).argmax(1) == LABELS).sum())
    assert card["before"] == {"correct": right, "examples": 9}
    assert card["after"] == card["before"]
    assert {(one["rival"], one["batch"]) for one in card["latencies"]} == {
        (rival, batch) for rival in ("this file", "dense, torch") for batch in (1, 64)
    }
    kept = {one["name"]: one["kept"] for one in card["layers"]}
    assert kept == mask.kept_per_layer
    text = (to / "README.md").read_text()
    assert "# Five kinds" in text
    assert file in text


def test_the_sparse_file_loads_without_the_class(case, tmp_path):
    model, mask = case
    wn.deploy(model, mask, IMAGES[:1], to=tmp_path / "a", run="kernels")
    for place in (tmp_path / "a", tmp_path / "a" / "network.safetensors"):
        loaded = wn.load_deployed(place, run="kernels")
        assert close(loaded(IMAGES), masked(model, mask)(IMAGES))


def test_nothing_is_overwritten_and_nothing_is_left_behind(case, tmp_path, monkeypatch):
    model, mask = case
    (tmp_path / "there").mkdir()
    with pytest.raises(wn.UserError, match="there already"):
        wn.deploy(model, mask, IMAGES[:1], to=tmp_path / "there", run="kernels")
    with pytest.raises(wn.UserError, match="openvino"):
        wn.deploy(model, mask, IMAGES[:1], to=tmp_path / "b", run="kernels", beside=["openvino"])

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "write_card", full)
    with pytest.raises(OSError, match="No space"):
        wn.deploy(model, mask, IMAGES[:1], to=tmp_path / "c", run="kernels")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("int8", [False, True])
def test_onnx_beside_and_as_the_file(case, tmp_path, int8):
    pytest.importorskip("onnxruntime", reason="ONNX is an extra: winnow[onnx]")
    pytest.importorskip("onnxscript", reason="ONNX is an extra: winnow[onnx]")
    model, mask = case
    wn.deploy(
        model, mask, IMAGES, to=tmp_path / "out", format="onnx", int8=int8, beside=["onnx"],
        data=(IMAGES, LABELS), calibration=IMAGES,
    )  # fmt: skip
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["file"] == "network.onnx"
    assert {one["rival"] for one in card["latencies"]} == {
        "this file", "dense, torch", "dense, ONNX Runtime",
    }  # fmt: skip
    assert any("no speed from zeros" in note for note in card["notes"])


def test_a_fixed_batch_is_measured_as_it_is(tmp_path):
    class Fixed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 3)

        def forward(self, x):
            return self.layer(x) + torch.arange(6.0).reshape(2, 3)

    model = Fixed()
    mask = wn.Mask({"layer.weight": torch.rand(3, 4) < 0.5})
    wn.deploy(model, mask, torch.randn(2, 4), to=tmp_path / "out", run="kernels")
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert {one["batch"] for one in card["latencies"]} == {2}
