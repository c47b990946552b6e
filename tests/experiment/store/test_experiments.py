"""What a store knows of the experiments that were run, when nothing can be planned."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sample_runs import RUN

from winnow.digest import sealed_json
from winnow.experiment.arms import REINIT, TICKET
from winnow.experiment.expected import (
    ExpectedPoint,
    ExpectedRun,
    Experiment,
    read_experiment,
    slug_of,
    write_experiment,
)
from winnow.experiment.runs import Record
from winnow.experiment.store.experiments import stored_experiments
from winnow.experiment.store.store import Store

RECORD = Record(frozenset({20}), frozenset({30}), test_curve=True)
EXPECTED = ExpectedRun(RUN.id, RUN.folder, (), 11, 12, 13, RECORD)
POINT = ExpectedPoint("ticket", 1, 2, 3, RUN.id, 4, 0.5, 0.6, 7.5)
EXPERIMENT = Experiment("lth/made-up", {"seed": 1}, (TICKET, REINIT), (POINT,), (EXPECTED,))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store").open()


def test_those_of_a_recipe_are_read_in_the_order_of_their_hashes(store):
    ours = [replace(EXPERIMENT, recipe={"seed": seed}) for seed in range(6)]
    for one in [*ours, replace(EXPERIMENT, name="lth/made-up-2"), replace(EXPERIMENT, name="x")]:
        write_experiment(one, store.path)
    expected = sorted(ours, key=lambda one: one.hash)
    assert stored_experiments(store, "lth/made-up") == expected
    assert stored_experiments(store, "lth-made-up") == []  # the same folder, another recipe
    assert stored_experiments(store, "lth/made") == []


def test_a_store_without_any_has_none(store, tmp_path):
    assert stored_experiments(store, "lth/made-up") == []
    assert stored_experiments(Store(tmp_path / "nowhere"), "lth/made-up") == []


def change(path, edit):
    plain = json.loads(path.read_text())
    edit(plain)
    path.write_text(json.dumps(plain))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(path.read_text()[:-40]),
        lambda path: path.write_text("[]"),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: change(path, lambda plain: plain.pop("points")),
        lambda path: change(path, lambda plain: plain["arms"][0].update(colour="red")),
        lambda path: change(path, lambda plain: plain["recipe"].update(seed=2)),
        lambda path: change(path, lambda plain: plain["points"][0].update(arm="one-shot")),
    ],
    ids=["cut", "a list", "no text", "a part lost", "a field more", "changed", "no such arm"],
)
def test_what_is_damaged_is_set_aside_and_reported(store, damage, capsys):
    whole = write_experiment(replace(EXPERIMENT, recipe={"seed": 9}), store.path)
    broken = write_experiment(EXPERIMENT, store.path)
    damage(broken)
    assert stored_experiments(store, "lth/made-up") == [read_experiment(whole)]
    assert not broken.exists()
    (aside,) = (store.path / "damaged").iterdir()
    assert aside.name.startswith("lth-made-up-")
    assert (aside / "experiment.json").is_file()
    said = capsys.readouterr().err
    assert said.startswith(f"damaged: {broken.parent}: ")
    assert stored_experiments(store, "lth/made-up") == [read_experiment(whole)]
    assert capsys.readouterr().err == ""


def test_another_version_is_left_out_and_stays(store, capsys):
    path = write_experiment(EXPERIMENT, store.path)
    path.write_text(sealed_json({**EXPERIMENT.dump(), "format": 2}))
    assert stored_experiments(store, "lth/made-up") == []
    assert capsys.readouterr().err == f"left out: {path}: its format is 2, not 1\n"
    assert path.exists()


def test_one_that_is_being_written_is_left_alone(store, capsys):
    path = write_experiment(EXPERIMENT, store.path)
    path.rename(path.with_name(".experiment.json.tmp"))
    assert stored_experiments(store, "lth/made-up") == []
    assert capsys.readouterr().err == ""
    assert path.parent.exists()


def test_names_as_parts_of_files():
    assert slug_of("lth/digits") == "lth-digits"
    assert slug_of("../my recipe.yaml") == "my-recipe.yaml"
    assert slug_of("//") == "recipe"
