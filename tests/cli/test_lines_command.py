"""Recipes with lines and scales, from the command line."""

from __future__ import annotations

import csv

import pytest
from command_line import RECIPE, folders, refused, winnow

pytestmark = pytest.mark.usefixtures("own_environment")

LINES = (
    RECIPE.replace("controls: {reinit: 1}", "")
    + """
lines:
  slow: {train.optimizer.lr: 1e-3}
  fast: {train.optimizer.lr: 2e-2, controls.reinit: 1}
scales:
  smoke: {train.steps: 10it}
views:
  - {title: Accuracy, of: final_test_accuracy}
"""
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("lines") / "two.yaml"
    file.write_text(LINES)
    return file


@pytest.fixture(scope="module")
def whole(path, own_environment, tmp_path_factory):  # noqa: ARG001
    store = tmp_path_factory.mktemp("store") / "runs"
    return store, winnow("run", path, "--store", store, "--jobs", 1)


def rows(file):
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def test_all_lines_are_one_experiment_with_one_page(whole):
    store, (code, out, err) = whole
    assert code == 0, err
    assert [x for x in out.splitlines() if x.startswith("line ")] == ["line slow", "line fast"]
    assert out.splitlines()[0].startswith(("Tickets keep their dense accuracy ", "Tickets lose"))
    assert out.count("Test accuracy at early stopping in %") == 2
    found = rows(store / "reports" / "two" / "rows.csv")
    assert [(r["line"], r["arm"], r["round"]) for r in found] == [
        ("slow", "ticket", "0"), ("slow", "ticket", "1"),
        ("fast", "ticket", "0"), ("fast", "ticket", "1"), ("fast", "reinit", "1"),
    ]  # fmt: skip
    page = (store / "reports" / "two" / "index.html").read_text("utf-8")
    assert "<summary>slow</summary>" in page
    assert "Accuracy. Lines are means" in page
    assert len(folders(store)) == 5


@pytest.mark.slow
def test_a_line_and_a_scale_have_reports_of_their_own(path, tmp_path):
    store = tmp_path / "runs"
    assert winnow("run", path, "--store", store, "-q", "--jobs", 1, "--scale", "smoke").code == 0
    assert winnow("run", path, "--store", store, "-q", "--jobs", 1, "--line", "slow").code == 0
    assert winnow("run", path, "--store", store, "-q", "--jobs", 1, "--line", "fast").code == 0
    assert (
        winnow("run", path, "--store", store, "-q", "--jobs", 1, "-o", "train.batch=40").code == 0
    )
    reports = sorted(folder.name for folder in (store / "reports").iterdir())
    assert len(reports) == 4
    assert "two-smoke" in reports
    found = {r["iterations"] for r in rows(store / "reports" / "two-smoke" / "rows.csv")}
    assert found == {"10"}


@pytest.mark.slow
def test_runs_of_a_line_are_not_made_again_for_all(path, whole, tmp_path):
    store = tmp_path / "runs"
    winnow("run", path, "--store", store, "-q", "--jobs", 1, "--line", "slow")
    first = {f.name: f.stat().st_mtime_ns for f in (store / "runs").iterdir()}
    winnow("run", path, "--store", store, "-q", "--jobs", 1)
    again = {f.name: f.stat().st_mtime_ns for f in (store / "runs").iterdir()}
    assert first.items() <= again.items()
    assert folders(store) == folders(whole[0])


def test_plan_and_report_know_lines(path, whole, tmp_path):
    store = whole[0]
    code, out, _ = winnow("plan", path, "--store", store)
    assert code == 0
    assert [x.rsplit(None, 4)[0] for x in out.splitlines()[1:4]] == [
        "slow: ticket", "fast: ticket", "fast: reinit",
    ]  # fmt: skip
    assert "5 runs done, 0 missing" in out
    code, out, err = winnow("report", path, "--store", store, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert (tmp_path / "out" / "rows.csv").read_text() == (
        store / "reports" / "two" / "rows.csv"
    ).read_text()


def test_full_prints_each_line(path, whole):
    out = winnow("run", path, "--store", whole[0], "-q", "--full").out
    assert out.count("density_total %") >= 2
    assert "view-1.png" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--line", "medium"], "unknown line 'medium'"), (["--scale", "tiny"], "no scale 'tiny'")],
)
def test_what_is_not_there_is_named(path, words, told, tmp_path):
    refused(winnow("run", path, "--store", tmp_path / "runs", *words), told)
