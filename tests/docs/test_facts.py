"""What the documents say of files, columns, trees and floors is what there is."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import runpy
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
import torch
import yaml
from documents import DOCUMENTS, README, ROOT, blocks
from synthetic_calibration import calibration

import winnow as wn
from winnow.engine.calibration import Layer, calibrated
from winnow.mask import Mask
from winnow.report.csvfile import as_csv
from winnow.report.results import Row

ARCHITECTURE = (ROOT / "docs/architecture.md").read_text("utf-8")


# ---- what is generated


def test_generated_parts_are_those_of_today():
    page = runpy.run_path(str(ROOT / "docs/generate.py"))["page"]
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        assert page(text) == text, f"{path.name} is old: make docs"


def test_figures_are_those_of_today():
    for name, draw in runpy.run_path(str(ROOT / "docs/generate.py"))["FIGURES"].items():
        assert draw() == (ROOT / "docs/figures" / name).read_text("utf-8"), f"{name}: make docs"


def test_parts_are_in_their_pages():
    parts = runpy.run_path(str(ROOT / "docs/generate.py"))["PARTS"]
    text = "".join(path.read_text("utf-8") for path in DOCUMENTS)
    assert {f"<!-- generated: {name} -->" for name in parts} <= set(text.splitlines())


# ---- the layout


def test_the_tree_in_the_readme_is_the_tree_on_disk():
    (tree,) = [b.text for b in blocks(README) if b.text.startswith("winnow/\n")]
    inside = [line.strip() for line in tree.splitlines()[1:] if line.startswith("  ")]
    shown = {name for line in inside for name in re.split(" {2,}", line)[0].split()}
    package = [path for path in (ROOT / "winnow").iterdir() if not path.name.startswith("_")]
    folders = {f"{path.name}/" for path in package if path.is_dir()}
    assert shown == folders | {path.name for path in package if path.suffix == ".py"}


def test_the_floors_are_those_that_imports_are_held_to():
    floors = runpy.run_path(str(ROOT / "tests/test_imports.py"))["FLOORS"]
    shown = [line.split() for line in ARCHITECTURE.splitlines() if line.startswith("floor ")]
    assert [tuple(words[2:]) for words in shown] == list(floors)
    assert [int(words[1]) for words in shown] == list(range(len(floors), 0, -1))


@pytest.mark.parametrize(
    "page", [*(ROOT / "docs").glob("*.md"), *DOCUMENTS[:2]], ids=lambda page: page.name
)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert link.startswith("http") or target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.M)
            slugs = {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}
            assert anchor in slugs, link


# ---- rows.csv


def columns() -> dict[str, str]:
    text = (ROOT / "docs/rows.md").read_text("utf-8")
    return dict(re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", text, re.M))


def test_columns_are_those_of_a_report():
    moved = ("accuracy_at", "line", "validation_at")
    names = [field.name for field in dataclasses.fields(Row) if field.name not in moved]
    cut = names.index("stop_test_loss")  # what came later stands after what has always been there
    later = ["accuracy_at_N", "validation_accuracy_at_N", *names[cut:], "line"]
    assert list(columns()) == [*names[:cut], *later]


def test_columns_have_their_types():
    words = {str: "text", int: "whole number", float: "number", bool: "truth"}
    words |= {tuple[str, ...]: "text"}
    for name, kind in get_type_hints(Row).items():
        if name not in ("status", "accuracy_at", "validation_at"):
            (plain,) = {*(get_args(kind) or [kind])} - {NoneType, str, ...} or {str}
            assert columns()[name] == words[plain], name


# ---- files


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A store with an experiment of three runs, one of them rewound to a step."""
    path = tmp_path_factory.mktemp("files") / "runs"
    overrides = {
        **{"train.steps": "20it", "train.evaluate": "10it", "train.test_curve": True},
        **{"prune.rounds": 1, "prune.rewind": "5it", "engine": "sparse"},
        **{"controls.random": 0, "controls.one-shot": "none"},
    }
    wn.run("lth/digits", overrides=overrides, replicates=1, store=path, jobs=1)
    return path


def sample(key: str) -> Any:
    """The JSON of docs/store.md that has a key at its top."""
    samples = [json.loads(b.text) for b in blocks(ROOT / "docs/store.md", "json")]
    (one,) = [plain for plain in samples if key in plain]
    return one


def assert_alike(shown: Any, real: Any, where: str) -> None:
    """The same keys at every level that the sample shows; "…" stands for more of them."""
    if isinstance(shown, dict) and isinstance(real, dict):
        more = "…" in shown
        assert shown.keys() - {"…"} <= real.keys(), where
        assert more or shown.keys() == real.keys(), where
        for key in shown.keys() - {"…"}:
            assert_alike(shown[key], real[key], f"{where}.{key}")
    elif isinstance(shown, list) and isinstance(real, list) and shown and real:
        assert_alike(shown[0], real[0], f"{where}[0]")
    else:
        assert type(shown) is type(real) or None in (shown, real), where


def run_folder(store: Path) -> Path:
    """The folder of the pruned run."""
    (folder,) = [
        path for path in (store / "runs").iterdir()
        if json.loads((path / "run.json").read_text())["run"]["pruning"]
        and json.loads((path / "run.json").read_text())["run"]["draw"] == 0
    ]  # fmt: skip
    return folder


def header(path: Path) -> Any:
    data = path.read_bytes()
    plain = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(plain["__metadata__"]["winnow"]), set(plain) - {"__metadata__"}


def test_run_json_and_result_json(store):
    folder = run_folder(store)
    real = json.loads((folder / "run.json").read_text())
    assert_alike({**sample("run"), "run": {}}, {**real, "run": {}}, "run.json")
    shown = sample("run")["run"]
    shown["pruning"]["keep"] = real["run"]["pruning"]["keep"]
    assert_alike(shown, real["run"], "run.json: run")
    assert_alike(sample("curve"), json.loads((folder / "result.json").read_text()), "result.json")


def test_states(store):
    about, names = header(run_folder(store) / "final.safetensors")
    assert_alike(sample("updates"), about, "final.safetensors")
    groups = {name.rsplit("/", 1)[0] for name in names}
    assert {"weights", "mask"} <= groups
    text = (ROOT / "docs/store.md").read_text("utf-8")
    for group in groups:
        assert f"`{group.split('/')[0]}/" in text


def test_experiment_json(store):
    (path,) = store.glob("experiments/*/experiment.json")
    real = json.loads(path.read_text())
    assert_alike(sample("points"), real, "experiment.json")


def test_tickets_and_masks(tmp_path):
    layer = torch.nn.Linear(9, 5)
    mask = Mask({"weight": layer.weight > 0})
    weights = layer.state_dict()
    final = {name: 2 * tensor for name, tensor in weights.items()}
    wn.Ticket(mask, weights, final, sample("half")["provenance"]).save(tmp_path / "ticket")
    about, names = header(tmp_path / "ticket")
    assert_alike(sample("half"), about, "ticket")
    assert names == {"mask", "rewind/float32", "final/float32"}
    mask.save(tmp_path / "mask")
    about, names = header(tmp_path / "mask")
    about["shapes"] = {"0.weight": about["shapes"]["weight"]}
    assert_alike(sample("shapes"), about, "mask")
    assert names == {"weight"}


def test_calibrations(tmp_path):
    layers = {"hidden.0.weight": Layer(9, 1.0)}
    made = calibration((1.0, 1.0), (0.1, 0.2), layers=layers, costs={"hidden.0.weight": (0.3, 0.1)})
    calibrated(tmp_path, made.key, lambda: made)
    (path,) = tmp_path.glob("*.json")
    assert_alike(sample("rungs"), json.loads(path.read_text()), "calibration")


def test_folders_of_a_store(store):
    text = (ROOT / "docs/store.md").read_text("utf-8")
    (tree,) = [b.text for b in blocks(ROOT / "docs/store.md") if b.text.startswith("STORE/")]
    assert {path.name for path in store.iterdir()} <= set(re.findall(r"^  ([\w.]+)", tree, re.M))
    assert text.count("step-N.safetensors") >= 2
    assert list(store.glob("runs/*/step-5.safetensors"))


def test_rows_csv_of_the_store_has_the_documented_columns(store):
    (path,) = store.glob("reports/*/rows.csv")
    head = next(csv.reader(io.StringIO(path.read_text())))
    assert set(head) <= set(columns())
    assert as_csv([]).startswith("recipe,arm,")


# ---- citing


def test_the_citation_is_of_this_version():
    plain = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= plain.keys()
    assert plain["cff-version"] == "1.2.0"
    assert plain["version"] == wn.__version__
    assert len(plain["references"]) == 5
    for reference in plain["references"]:
        assert {"type", "title", "authors", "year", "url"} <= reference.keys()
        assert all(
            {"given-names", "family-names"} == author.keys() for author in reference["authors"]
        )
