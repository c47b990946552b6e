"""``winnow report``."""

from __future__ import annotations

import csv
import shutil

import pytest
from command_line import RECIPE, folders, refused, winnow

pytestmark = pytest.mark.usefixtures("own_environment")


def test_report_of_several_recipes_is_one_page(recipe, store, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(RECIPE.replace("reinit: 1", "reinit: 0"))
    code, out, err = winnow("report", recipe, other, "--store", store, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"page: {tmp_path / 'out' / 'index.html'}"
    with (tmp_path / "out" / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["recipe"] for row in rows] == [str(recipe)] * 3 + [str(other)] * 2


def test_report_says_what_is_missing_and_trains_nothing(recipe, store, tmp_path):
    before = folders(store)
    arguments = ("--store", store, "--out", tmp_path / "out")
    code, _, err = winnow("report", recipe, *arguments, "--replicates", 2)
    assert (code, err) == (0, f"3 runs of {recipe} are not finished yet and left out\n")
    nothing = winnow("report", recipe, *arguments, "-o", "train.steps=30it")
    refused(nothing, f"nothing of {recipe} is finished in {store}: first winnow run {recipe}")
    assert folders(store) == before
    (tmp_path / "file").touch()
    refused(winnow("report", recipe, "--store", store, "--out", tmp_path / "file"), "is a file")
    inside = winnow("report", recipe, "--store", store, "--out", tmp_path / "file" / "x")
    assert inside.code == 1
    assert str(tmp_path / "file") in inside.err
    assert "Traceback" not in inside.err


def test_what_cannot_be_planned_any_more_is_reported_as_it_was_run(store, recipe, tmp_path):
    path, ours = tmp_path / "gone.yaml", tmp_path / "store"
    path.write_text(RECIPE)
    shutil.copytree(store / "runs", ours / "runs")
    shutil.copy(store / "store.json", ours)
    for replicates in (1, 2):
        monkey = pytest.MonkeyPatch()
        monkey.setattr("winnow.experiments.execute", lambda *_: None)
        monkey.setattr("winnow.experiments._check_kept", lambda *_: None)
        assert winnow("run", path, "-q", "--store", ours, "--replicates", replicates).code == 0
        monkey.undo()
    arguments = ("report", path, "--store", ours, "--out", tmp_path / "out")
    planned = winnow(*arguments)
    assert (planned.code, planned.err) == (0, "")
    path.unlink()
    code, out, err = winnow(*arguments)
    assert code == 0
    assert err.startswith(f"note: {path} is reported as it was run, in 2 ways, as it cannot be pl")
    assert "3 runs of" in err
    assert out.splitlines()[-1] == f"page: {tmp_path / 'out' / 'index.html'}"
    with (tmp_path / "out" / "rows.csv").open() as file:
        assert [row["recipe"] for row in csv.DictReader(file)] == 2 * 3 * [str(path)]
    refused(winnow(*arguments, "--replicates", 1), str(path))
    refused(winnow(*arguments[:1], tmp_path / "other.yaml", *arguments[2:]), "other.yaml")
    assert recipe.exists()
