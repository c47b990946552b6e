"""A store that Winnow 0.1 wrote (commit b3de43d) is read, resumed and reported as it was then.

``store.tar.gz``: the finished runs of ``rounds.yaml`` and ``methods.yaml``, and the checkpoint of
that of ``unfinished.yaml``, killed on its way. The CSV files are the
reports of 0.1, the last one after it had resumed that run itself.
"""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from pathlib import Path

import pytest

import winnow as wn
from winnow.mask import from_bytes

HERE = Path(__file__).parent


@pytest.fixture
def store(tmp_path, monkeypatch):
    with tarfile.open(HERE / "store.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(HERE)  # rows name a recipe as it was given
    return tmp_path / "store"


def run(name, store):
    return wn.run(f"{name}.yaml", store=store, jobs=1)


@pytest.mark.parametrize("name", ["rounds", "methods"])
def test_the_report_is_the_same_to_the_byte_and_nothing_trains(name, store):
    before = sorted(store.glob("runs/*/*"))
    outcome = run(name, store)
    assert outcome.paths.csv.read_bytes() == (HERE / f"{name}.csv").read_bytes()
    assert sorted(store.glob("runs/*/*")) == before


def test_a_lost_run_is_made_again_as_it_was(store):
    """On another processor torch may differ in last bits, and single images with them."""
    expected = rows(HERE / "rounds.csv")
    lost = store / "runs" / expected[-1]["run"]
    shutil.rmtree(lost)
    compare_rows(expected, rows(run("rounds", store).paths.csv))
    assert (lost / "run.json").exists()


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_checkpoint(store):
    (checkpoint,) = (store / "checkpoints").iterdir()
    _, begun = from_bytes("checkpoint", checkpoint.read_bytes(), str(checkpoint))
    outcome = run("unfinished", store)
    compare_rows(rows(HERE / "unfinished.csv"), rows(outcome.paths.csv))
    assert not checkpoint.exists()
    result = json.loads((store / "runs" / outcome.results.rows[0].run / "result.json").read_text())
    for name, values in begun["progress"]["curve"].items():
        assert result["curve"][name][: len(values)] == values, "what was seen before the kill stays"
    assert result["seconds"] > begun["progress"]["seconds"]


def text(path):
    return path.read_text("utf-8")


def rows(path):
    return list(csv.DictReader(text(path).splitlines()))


def compare_rows(expected, found):
    assert [row["run"] for row in expected] == [row["run"] for row in found]
    for one, other in zip(expected, found, strict=True):
        assert list(other)[: len(one)] == list(one), "later columns come after those of 0.1"
        for column in one.keys() - {"seconds"}:
            if "accuracy" in column and one[column]:
                assert float(one[column]) == pytest.approx(float(other[column]), abs=0.03)
            elif column.startswith("stop_"):
                assert bool(one[column]) == bool(other[column])
            else:
                assert one[column] == other[column], column


@pytest.mark.slow
def test_more_is_recorded_of_its_runs_beside_them(store, capfd):
    """From the iterations that come out here as they were; those of another processor that do not
    are trained again as a whole, each copy under a number.
    """
    before = {path: path.read_bytes() for path in store.glob("runs/*/*")}
    outcome = wn.run("rounds.yaml", overrides=["train.accuracy_at=[15it]"], store=store, jobs=1)
    assert outcome.results.missing == 0
    assert all(15 in row.accuracy_at for row in outcome.results.rows)
    assert all(path.read_bytes() == data for path, data in before.items())
    there = {path.parent for path in before}
    copies = [path.name for path in store.glob("runs/*") if path not in there]
    additions = list(store.glob("runs/*/added-1"))
    assert len(additions) + len(copies) == len({row.run for row in outcome.results.rows})
    said = capfd.readouterr().err
    assert all(f"{name.partition('.')[0]} is trained again as a whole" in said for name in copies)
    assert len(additions) > len(copies)
