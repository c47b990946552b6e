"""Cards: values, JSON, and a README that huggingface_hub reads as a model card."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
import types
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from winnow.deployment.capture import capture
from winnow.deployment.card import (
    Card,
    CardInput,
    LayerKept,
    LayerUnits,
    card_inputs,
    densities,
    loading_code,
    processor_name,
    this_machine,
)
from winnow.deployment.card_files import write_card
from winnow.deployment.card_text import bytes_text, card_text
from winnow.deployment.hub import push
from winnow.deployment.measure import Accuracy, Latency
from winnow.errors import UserError
from winnow.mask import Mask

INPUTS = (CardInput("x", (None, 1, 28, 28), "float32"),)


@pytest.fixture
def card():
    return Card(
        title="LeNet-300-100 at 5 %: MNIST",
        format="sparse",
        file="network.safetensors",
        size=74_213,
        dense_size=1_066_440,
        inputs=INPUTS,
        layers=(LayerKept("fc1.weight", 1_000, 10_000), LayerKept("fc2.weight", 7, 70)),
        loading=loading_code("sparse", "network.safetensors", INPUTS),
        machine={"name": "AMD EPYC", "processor": "znver4", "float32 lanes": 16, "torch": "2.13.0",
                 "numba": "0.68.1", "threads": 1},
        latencies=(
            Latency("torch, dense", 1, 25.3e-6, 25.0e-6, 26.1e-6, 9),
            Latency("this file", 1, 5.04e-6, 5.0e-6, 5.1e-6, 9),
            Latency("torch, dense", 64, 345e-6, 340e-6, 351e-6, 9),
            Latency("this file", 64, 71.2e-6, 70.9e-6, 72e-6, 9),
        ),
        before=Accuracy(9_801, 10_000),
        after=Accuracy(9_800, 10_000),
        data="MNIST, test images",
        units=(LayerUnits("fc1", 300, 212),),
        notes=("One note.", "Another\nnote."),
        provenance={"recipe": "lth/1", "seed": 3, "nested": {"```": [1, None]}},
        task="image-classification",
        license="mit",
        date="2026-11-28",
        difference=1.234e-7,
    )  # fmt: skip


def front_matter(text):
    _, about, rest = text.split("---\n", 2)
    return yaml.safe_load(about), rest


def test_the_hubs_own_class_reads_the_readme(tmp_path, card):
    library = pytest.importorskip("huggingface_hub", reason="needs winnow[hub]")
    write_card(tmp_path, card)
    read = library.ModelCard.load(tmp_path / "README.md", ignore_metadata_errors=False)
    assert read.data.library_name == "winnow"
    assert read.data.tags == ["sparse", "pruning", "lottery-ticket"]
    assert (read.data.license, read.data.pipeline_tag) == ("mit", "image-classification")
    assert read.data.metrics == ["accuracy"]
    assert read.data.model_name == card.title
    (result,) = read.data.eval_results
    assert (result.task_type, result.dataset_type) == ("image-classification", "mnist-test-images")
    assert (result.dataset_name, result.metric_type) == ("MNIST, test images", "accuracy")
    assert result.metric_value == 0.98
    again = library.ModelCard(str(read))
    assert again.data.to_dict() == read.data.to_dict()
    assert again.text.strip() == read.text.strip() == front_matter(card_text(card))[1].strip()


def test_a_readme_whole(card):
    lines = front_matter(card_text(card))[1].splitlines()
    for line in (
        "# LeNet-300-100 at 5 %: MNIST",
        "|  | as given | `network.safetensors` |",
        "| size | 1.07 MB | 74.2 kB (14.4 times smaller) |",
        "| prunable weights | 10,070 | 1,007 (10.0 %) |",
        "| accuracy on MNIST, test images, 10,000 examples | 98.01 % | 98.00 % |",
        "| largest difference of outputs |  | 1.2e-07 |",
        "| date |  | 2026-11-28 |",
        "One note.",
        "Another note.",
        "|  | batch 1 | batch 64 |",
        "| torch, dense | 25.3 µs (25.0–26.1) | 345 µs (340–351) |",
        "| this file | 5.04 µs (5.00–5.10) | 71.2 µs (70.9–72.0) |",
        'module = wn.load_deployed("network.safetensors")',
        "| `x` | any, 1, 28, 28 | float32 |",
        "| `fc1.weight` | 1,000 | 10,000 | 10.0 |",
        "| `fc2.weight` | 7 | 70 | 10.0 |",
        "| total | 1,007 | 10,070 | 10.0 |",
        "| `fc1` | 300 | 212 |",
    ):
        assert line in lines, line
    told = next(line for line in lines if line.startswith("Time of one call"))
    assert "on one thread: the median of 9 turns" in told
    assert told.endswith(
        "AMD EPYC (znver4), vectors of 16 float32 (AVX-512), torch 2.13.0, numba 0.68.1."
    )
    fences = [i for i, line in enumerate(lines) if line.startswith("````")]
    assert json.loads("\n".join(lines[fences[0] + 1 : fences[1]])) == card.provenance


def test_every_table_has_as_many_cells_in_each_line(card):
    odd = dataclasses.replace(
        card, layers=(LayerKept("a|b", 1, 2),), data="a|b", latencies=card.latencies[:3]
    )
    for block in card_text(odd).split("\n\n"):
        if block.startswith("|"):
            counts = {line.replace(r"\|", "").count("|") for line in block.splitlines()}
            assert len(counts) == 1, block


def test_the_json_holds_all_of_a_card(tmp_path, card):
    write_card(tmp_path / "new", card)
    plain = json.loads((tmp_path / "new" / "card.json").read_text("utf-8"))
    assert plain.keys() == {f.name for f in dataclasses.fields(Card)} | {
        "card",
        "density",
        "sha256",
        "digest",
    }
    assert plain["latencies"][1] == {
        "rival": "this file", "batch": 1, "median": 5.04e-6, "low": 5.0e-6, "high": 5.1e-6,
        "turns": 9,
    }  # fmt: skip
    assert plain["inputs"] == [{"name": "x", "shape": [None, 1, 28, 28], "dtype": "float32"}]
    assert plain["before"] == {"correct": 9_801, "examples": 10_000}
    assert (plain["card"], plain["density"]) == (1, pytest.approx(0.1))
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["README.md", "card.json"]


def test_what_is_not_known_is_not_told(card):
    """Without data, latencies, units, dates and provenance; a file that is no smaller."""
    least = Card("A", "onnx", "m.onnx", 2000, 1000, INPUTS, (), "", {})
    text = card_text(least)
    about, rest = front_matter(text)
    assert about == {
        "library_name": "winnow", "tags": ["sparse", "pruning", "lottery-ticket", "onnx"]
    }  # fmt: skip
    for word in ("ccuracy", "Latency", "Units", "date", "comes from", "smaller", "None"):
        assert word not in rest
    assert "| size | 1.00 kB | 2.00 kB |" in rest
    assert least.density == 1
    before = card_text(dataclasses.replace(card, after=None))
    assert "model-index" not in front_matter(before)[0]
    assert "| 98.01 % |  |" in before


def test_a_title_cannot_break_the_yaml(card):
    title = "a: b\n--- # 'c' \"d\" [e"
    about, rest = front_matter(card_text(dataclasses.replace(card, title=title)))
    assert about["model-index"][0]["name"] == title
    assert "# a: b --- # 'c' \"d\" [e" in rest.splitlines()


def test_a_provenance_that_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path, card):
    for value in (float("nan"), {1, 2}):
        with pytest.raises(UserError, match="provenance must be plain JSON values"):
            write_card(tmp_path, dataclasses.replace(card, provenance={"a": value}))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_card_is_one_to_push(tmp_path, card, monkeypatch):
    library = pytest.importorskip("huggingface_hub", reason="needs winnow[hub]")
    write_card(tmp_path, card)
    (tmp_path / card.file).write_bytes(b"a network")
    monkeypatch.setattr(library, "get_token", lambda: None)
    with pytest.raises(UserError, match="needs a login"):  # all that is of the folder is right
        push(tmp_path, "me/lenet")


def test_inputs_and_densities_are_those_of_a_network_and_a_mask():
    network = capture(nn.Linear(4, 2), torch.rand(2, 4))
    assert card_inputs(network.inputs) == (CardInput("input", (None, 4), "float32"),)
    mask = Mask({"a": torch.tensor([True, False, True]), "b": torch.tensor([[False]])})
    assert densities(mask) == (LayerKept("a", 2, 3), LayerKept("b", 0, 1))


@pytest.mark.parametrize("name", ["pt2", "onnx"])
def test_code_that_loads_a_file_runs(tmp_path, name):
    model, x = nn.Linear(4, 2).eval(), torch.rand(3, 4)
    network, path = capture(model, x), tmp_path / f"model.{name}"
    if name == "onnx":
        from winnow.deployment.onnx import export_onnx

        pytest.importorskip("onnxscript", reason="needs winnow[onnx]")
        pytest.importorskip("onnxruntime", reason="needs winnow[onnx]")
        export_onnx(network, path, [x])
    else:
        from winnow.deployment.exporting import export_torch

        export_torch(network, path, [x])
    code = loading_code(
        "onnx" if name == "onnx" else "torch", str(path), card_inputs(network.inputs)
    )
    known = {"input": x}
    exec(code, known)
    torch.testing.assert_close(torch.as_tensor(known["outputs"][0]), model(x).detach())


@pytest.mark.parametrize(
    ("size", "text"),
    [(812, "812 bytes"), (1000, "1.00 kB"), (74_213, "74.2 kB"), (999_499, "999 kB"),
     (999_500, "1.00 MB"), (1_066_440, "1.07 MB"), (2_500_000_000, "2.50 GB")],
)  # fmt: skip
def test_sizes_have_three_digits(size, text):
    assert bytes_text(size) == text


def test_this_machine_says_what_measurements_hold_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", types.SimpleNamespace(__version__="1.2.3"))
    here = this_machine()
    assert here["onnxruntime"] == "1.2.3"
    assert here.keys() >= {"name", "processor", "float32 lanes", "torch", "threads"}
    assert here["name"] == processor_name() != ""


def test_a_processor_without_a_name_has_its_architecture(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda _: "model : 5\nvendor_id\t: x")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert processor_name() == platform.machine()
    monkeypatch.setattr(Path, "read_text", lambda _: "model name\t: A Processor: fast\n")
    assert processor_name() == "A Processor: fast"
