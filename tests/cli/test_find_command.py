"""``winnow find``: from a network of one's own to a ticket, and to a deployed file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from command_line import folders, refused, winnow

import winnow as wn
from winnow.deployment import folder as deployed_folders
from winnow.experiment.recipe.usual import usual_recipe
from winnow.report import Paths

pytestmark = pytest.mark.usefixtures("kernels", "own_environment", "folder")

NET = """
from torch import nn


def make(inputs, classes, width=12):
    c, h, w = inputs
    hidden = nn.Linear(c * h * w, width)
    return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(width, classes))
"""
DATA = ("--data", "digits")
SHORT = ("--steps", "20it", "-o", "engine=dense", "--jobs", 1, "-q")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WINNOW_STORE", raising=False)
    monkeypatch.setattr("winnow.report.write_report", lambda _, out, **__: Paths(out, out, []))
    measured = deployed_folders.latencies
    monkeypatch.setattr(
        deployed_folders, "latencies", lambda *given: measured(*given, turns=2, turn=0.0005)
    )
    Path("net.py").write_text(NET)
    return tmp_path


def find(*more, density=0.5, to="t.safetensors"):
    return winnow("find", "net.py:make", *DATA, "--density", density, "--to", to, *SHORT, *more)


def test_a_ticket_is_found_told_and_deployed():
    code, out, err = find("--recipe", "mine.yaml")
    assert (code, err) == (0, "")
    recipe, _, told = out.partition("\n\n")
    assert yaml.safe_load(recipe) == yaml.safe_load(Path("mine.yaml").read_text())
    ticket = wn.load("t.safetensors")
    assert ticket.mask.kept == 444  # half of 64 * 12 + 12 * 10
    lines = told.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["dense", "888"], ["ticket", "444"]]
    accuracy = f"{100 * ticket.provenance['accuracy']['test']:.2f} %"
    assert lines[2].endswith(accuracy)
    assert lines[-1].startswith("next: winnow deploy digits-make-444-")
    assert ticket.provenance["own"]["place"] == "net.py:make"
    before = folders(Path("runs"))
    assert len(before) == 5  # dense, and 0.8, 0.64, 0.512 on the way to 0.5
    assert "5 runs done" in winnow("plan", "mine.yaml").out.replace("5/5", "5")
    refused(find(), "--to t.safetensors is there already")
    again = find("--recipe", "mine.yaml", to="u.safetensors")
    assert again.code == 0
    assert folders(Path("runs")) == before  # nothing is trained again
    deployed = winnow("deploy", "t.safetensors", "--model", "net.py:make", "--to", "out")
    assert (deployed.code, deployed.err) == (0, "")
    assert f"accuracy: {accuracy} before, {accuracy} after" in deployed.out
    assert wn.load_deployed("out")(torch.randn(2, 1, 8, 8)).shape == (2, 10)


def test_a_ticket_runs_no_file_that_the_user_does_not_name(folder):
    assert find()[0] == 0
    Path("net.py").write_text("raise SystemExit('run')")
    answer = winnow("deploy", "t.safetensors", "--to", "out")
    refused(answer, "net.py:make", "winnow deploy t.safetensors --to out --model net.py:make")
    Path("net.py").write_text(NET + "\n# more\n")
    changed = winnow("deploy", "t.safetensors", "--to", "out", "--model", "net.py:make")
    assert changed.code == 0
    assert f"note: {folder / 'net.py'} is not the file" in changed.err
    Path("net.py").unlink()
    gone = winnow("deploy", "t.safetensors", "--to", "new", "--model", "net.py:make")
    refused(gone, "--model 'net.py:make': there is no file 'net.py'")


@pytest.mark.parametrize("method", ["snip", "rigl", "one-shot"])
@pytest.mark.slow
def test_other_methods(method):
    named = "{name: rigl, every: 5it}" if method == "rigl" else method
    assert find("--method", named, density=0.3)[0] == 0
    assert wn.load("t.safetensors").mask.kept == 266


@pytest.mark.slow
def test_the_engine_is_chosen_and_a_seed_is_another_run():
    auto = ["find", "net.py:make", *DATA, "--density", 0.5, "--jobs", 1, "-q", "--steps", "300it"]
    assert winnow(*auto, "--to", "a.safetensors")[0] == 0
    assert winnow(*auto, "--to", "b.safetensors", "--seed", 1)[0] == 0
    assert wn.load("a.safetensors").mask != wn.load("b.safetensors").mask


def test_bad_input_is_told_with_its_values(folder):
    refused(find(density=1.5), "--density 1.5")
    refused(find(density=1), "--density 1")
    refused(find("--method", "snp"), "unknown method 'snp'", "snip")
    refused(find("--method", "{rate: 0.5}"), "names no method")
    refused(find("--steps", "5"), "--steps is '5'")
    refused(find("--scope", "all"), "'all'")
    refused(find("-o", "replicates=3"), "replicates has 3", "--recipe")
    refused(find("-o", "compare.densities=[0.5, 0.2]"), "compare.densities has 2")
    refused(find("-o", "compare=null"), "compare.methods has 0")
    refused(find("-o", "data=digits"), "data is 'digits'")
    refused(find("--recipe", "mine.txt"), "name a YAML file")
    Path("mine.yaml").write_text("mine")
    refused(find("--recipe", "mine.yaml"), "mine.yaml is there already")
    assert Path("mine.yaml").read_text() == "mine"
    refused(winnow("find", "net.py:mke", *DATA, "--density", 0.5, "--to", "t"), "Did you mean")
    refused(winnow("find", "net.py:make", "--data", "dgits", "--density", 0.5, "--to", "t"),
            "unknown dataset 'dgits'")  # fmt: skip
    assert not (folder / "t.safetensors").exists()
    assert not (folder / "t").exists()


def test_a_training_that_diverges_gives_no_ticket():
    answer = find("-o", "train.optimizer={name: sgd, lr: 1e30}", "--method", "snip")
    assert answer.code == 2
    assert "diverged" in answer.err
    assert not Path("t.safetensors").exists()


def test_the_usual_recipe_goes_by_the_data():
    small = usual_recipe("lenet-300-100", "digits", 0.1)
    assert small["data"]["validation"] == 143  # a tenth of 1,437
    assert (small["train"]["steps"], small["prune"]["rewind"]) == ("2000it", "100it")
    large = usual_recipe("lenet-300-100", "mnist", 0.1, seed=3)
    assert large["data"]["validation"] == 5000
    assert (large["train"]["steps"], large["prune"]["rewind"]) == ("20ep", "1ep")
    assert set(large["seeds"].values()) == {3}
    assert "prune" not in usual_recipe("lenet-300-100", "mnist", 0.1, method="snip")
    short = usual_recipe("lenet-300-100", "digits", 0.1, steps="0.2ep", overrides=["replicates=2"])
    assert (short["train"]["evaluate"], short["replicates"]) == ("1it", 2)
    assert json.loads(json.dumps(short)) == short
