"""Experiments from the command line: killed, interrupted, shared, damaged, diverged."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from winnow.errors import UserError
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store
from winnow.experiment.train import executor

RECIPE = """
title: small
source: a test
data: {name: digits, validation: 100}
model: {name: lenet-300-100, hidden: [40, 20]}
train: {steps: 120it, batch: 50, optimizer: {name: adam, lr: 5e-3}, evaluate: 20it}
prune: {rate: 0.5, rounds: 2, rewind: 20it}
controls: {reinit: 1, random: 1, one-shot: [0.1]}
replicates: 2
engine: dense
"""
VISION = {"data": {"name": "cifar-10"}, "model": {"name": "squeezenet"}}
RUNS = 16  # 2 replicates of dense, 2 tickets, 2 reinit, 2 random, 1 one-shot
HANGS = 600  # seconds after which a process that waits for ever is given up


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, cache):
    """The results of a whole run with one worker, by folder."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.yaml").write_text(RECIPE)
    done = winnow(cache, "run", folder / "small.yaml", "--jobs", 1, "--store", folder / "runs")
    assert done.returncode == 0, done.stderr
    return numbers(folder / "runs")


def start(cache: Path, *arguments: object) -> subprocess.Popen[str]:
    def hears_ctrl_c() -> None:  # whoever runs the tests in the background has it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-m", "winnow", *map(str, arguments)],
        env=os.environ | {"WINNOW_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hears_ctrl_c,
    )


def winnow(cache: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    process = start(cache, *arguments)
    out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def numbers(store: Path) -> dict[str, dict[str, object]]:
    """Everything but the time that the store says of each run, tensors by their hash."""
    found = {p.parent.name: json.loads(p.read_text()) for p in store.glob("runs/[!.]*/result.json")}
    return {name: {k: v for k, v in r.items() if k != "seconds"} for name, r in found.items()}


@pytest.mark.slow
def test_two_jobs_give_what_one_gives(cache, recipe, tmp_path, uninterrupted):
    done = winnow(cache, "run", recipe, "--jobs", 2, "--store", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert len(uninterrupted) == RUNS
    assert numbers(tmp_path / "runs") == uninterrupted


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_if_never_killed(cache, recipe, tmp_path, uninterrupted):
    draw = random.Random(5)
    store = tmp_path / "runs"
    arguments = ("run", recipe, "--store", store, "--checkpoint", 0, "--jobs", 2)
    last = 0
    for kills in range(5):
        process = start(cache, *arguments)
        wait_for_news(store, process)
        time.sleep(0.4 * draw.random())
        # Sometimes the parent alone: its workers must die with it.
        kill = os.killpg if kills % 2 else os.kill
        kill(process.pid, signal.SIGKILL)
        process.communicate()  # returns when the last worker has closed its end
        assert len(numbers(store)) >= last
        last = len(numbers(store))
    done = winnow(cache, *arguments)
    assert done.returncode == 0, done.stderr
    assert numbers(store) == uninterrupted
    assert not list((store / "runs").glob(".*"))
    assert not list((store / "checkpoints").iterdir())


def wait_for_news(store: Path, process: subprocess.Popen[str]) -> None:
    """Until something is written that was not there: a checkpoint, a run, a part of one."""
    before = snapshot(store)
    while snapshot(store) == before and process.poll() is None:
        time.sleep(0.005)


def snapshot(store: Path) -> set[tuple[str, int]]:
    found = set()
    for path in store.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):
            found.add((path.name, path.stat().st_mtime_ns))
    return {(name, when) for name, when in found if not name.endswith((".lock", ".json"))}


@pytest.mark.slow
def test_a_long_run_resumes_inside(cache, recipe, tmp_path):
    """Killed with a checkpoint at hand it ends in the same bits; test_training.py shows that the
    run starts from the checkpoint and not anew."""
    arguments = ("run", recipe, "-o", "train.steps=3000it", "-o", "prune.rounds=0", "-o")
    arguments = (*arguments, "controls.one-shot=none", "--replicates", 1, "--jobs", 1)
    whole = winnow(cache, *arguments, "--store", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    process = start(cache, *arguments, "--store", tmp_path / "cut", "--checkpoint", 0.05)
    checkpoints = tmp_path / "cut" / "checkpoints"
    end = time.monotonic() + HANGS
    while not (checkpoints.exists() and list(checkpoints.glob("[!.]*"))):
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert numbers(tmp_path / "cut") == {}
    (checkpoint,) = checkpoints.glob("[!.]*")
    again = winnow(cache, *arguments, "--store", tmp_path / "cut", "--checkpoint", 1000)
    assert again.returncode == 0, again.stderr
    assert not checkpoint.exists()
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "whole")


@pytest.mark.slow
def test_a_damaged_checkpoint_is_set_aside_and_the_run_starts_over(
    cache, recipe, tmp_path, uninterrupted
):
    store = tmp_path / "runs"
    (store / "checkpoints").mkdir(parents=True)
    done = winnow(cache, "run", recipe, "--store", store)
    first = sorted((store / "runs").iterdir())[0]
    identity = json.loads((first / "run.json").read_text())["id"]
    (store / "gone").mkdir()
    first.rename(store / "gone" / first.name)
    (store / "checkpoints" / f"{identity}.safetensors").write_bytes(b"\x10" * 500)
    done = winnow(cache, "run", recipe, "--store", store)
    assert done.returncode == 0, done.stderr
    assert f"{identity}.safetensors" in done.stderr
    assert numbers(store) == uninterrupted


def test_ctrl_c_ends_runs_says_how_to_continue_and_exits_with_130(cache, recipe, tmp_path):
    process = start(cache, "run", recipe, "-o", "train.steps=100000it", "--store", tmp_path / "r")
    deadline = time.monotonic() + HANGS
    while not list((tmp_path / "r").glob("locks/*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the workers too
    _, err = process.communicate(timeout=HANGS)
    assert not numbers(tmp_path / "r")  # it has not waited for the end of a run
    assert process.returncode == 130
    assert "To continue: winnow run" in err
    assert "Traceback" not in err


def test_two_processes_share_the_work(cache, recipe, tmp_path, uninterrupted):
    store = tmp_path / "runs"
    both = [start(cache, "run", recipe, "--store", store, "--jobs", 1) for _ in range(2)]
    for process in both:
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert numbers(store) == uninterrupted  # a second training would stand beside as NAME.2


def test_nothing_finished_is_trained_again(cache, recipe, tmp_path, uninterrupted):
    store = tmp_path / "runs"
    winnow(cache, "run", recipe, "--store", store)
    stamps = {p: p.stat().st_mtime_ns for p in store.glob("runs/*/*")}
    again = winnow(cache, "run", recipe, "--store", store)
    assert again.returncode == 0
    assert {p: p.stat().st_mtime_ns for p in store.glob("runs/*/*")} == stamps
    plan = winnow(cache, "plan", recipe, "--store", store)
    assert f"{RUNS} runs done, 0 missing" in plan.stdout
    assert numbers(store) == uninterrupted


@pytest.mark.slow
def test_a_parent_whose_tensors_are_damaged_is_made_again(cache, recipe, tmp_path, uninterrupted):
    store = tmp_path / "runs"
    assert winnow(cache, "run", recipe, "--store", store).returncode == 0
    dense = next(p for p in (store / "runs").glob("*-dense-*/final.safetensors"))
    data = bytearray(dense.read_bytes())
    data[-9] ^= 0xFF
    dense.write_bytes(data)
    identity = json.loads((dense.parent / "run.json").read_text())["id"]
    for child in (store / "runs").glob("*/run.json"):
        pruning = json.loads(child.read_text())["run"]["pruning"]
        if pruning and pruning["of"] == identity:
            for file in child.parent.iterdir():
                file.unlink()
            child.parent.rmdir()
    done = winnow(cache, "run", recipe, "--store", store)
    assert done.returncode == 0, done.stderr
    assert dense.parent.name in done.stderr
    assert list((store / "damaged").iterdir())
    assert numbers(store) == uninterrupted


def test_divergence_is_recorded_and_the_experiment_goes_on(cache, recipe, tmp_path):
    store = tmp_path / "runs"
    done = winnow(cache, "run", recipe, "--store", store, "-o", "train.optimizer.lr=1e30")
    assert done.returncode == 0, done.stderr
    assert "diverged" in done.stdout
    results = numbers(store)
    assert {r["status"] for r in results.values()} == {"diverged"}
    assert all(1 <= r["diverged_at"] <= 120 for r in results.values())
    assert len(results) == 2  # the dense runs; what needs them is unreachable
    rows = next(store.glob("reports/small-*/rows.csv")).read_text().splitlines()
    assert sum("unreachable" in row for row in rows) == 14
    again = winnow(cache, "run", recipe, "--store", store, "-o", "train.optimizer.lr=1e30")
    assert again.returncode == 0
    assert numbers(store) == results


@pytest.mark.slow
def test_a_run_that_is_to_record_more_goes_on_and_stays_as_it_is(cache, recipe, tmp_path):
    store = tmp_path / "runs"
    arguments = ("run", recipe, "--store", store, "--replicates", 1, "-o", "prune.rounds=0")
    arguments = (*arguments, "-o", "controls.one-shot=none")
    before = None
    for steps in ("[30it]", "[70it]", "[30it,70it]"):
        done = winnow(cache, *arguments, "-o", f"train.accuracy_at={steps}")
        assert done.returncode == 0, done.stderr
        (run,) = (store / "runs").iterdir()
        numbers = (run / "result.json").read_bytes()
        assert numbers == (before or numbers)
        before = numbers
    assert set(json.loads(before)["accuracy_at"]) == {"30"}
    (added,) = run.glob("added-*")  # which serves the third asker too
    about = json.loads((added / "added.json").read_text())
    assert set(about["added"]["accuracy_at"]) == {"70"}


@pytest.mark.slow
def test_only_some_arms(cache, recipe, tmp_path):
    store = tmp_path / "runs"
    done = winnow(cache, "run", recipe, "--store", store, "--only", "reinit")
    assert done.returncode == 0, done.stderr
    rows = next(store.glob("reports/small-*/rows.csv")).read_text().splitlines()[1:]
    assert {row.split(",")[1] for row in rows} == {"ticket", "reinit"}
    wrong = winnow(cache, "run", recipe, "--store", store, "--only", "tiket")
    assert wrong.returncode == 2
    assert "Did you mean 'ticket'" in wrong.stderr


def test_a_network_whose_package_is_missing_is_told_before_anything_trains(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.models", raising=False)
    written = yaml.safe_load(RECIPE.replace("5e-3", "5.0e-3")) | VISION
    recipe = check_recipe(written, "vision")
    plan = expand_lines("vision", recipe, {"cifar-10": Source(50_000, "nowhere")})
    store = Store(tmp_path / "runs").open()
    with pytest.raises(UserError, match=r"squeezenet .* pip install 'winnow\[vision\]'"):
        executor.execute(plan, store, executor.Settings(1), pool=pytest.fail)
