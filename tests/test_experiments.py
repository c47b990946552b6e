"""``wn.run``: what it returns, where it stores, and how it answers bad input."""

from __future__ import annotations

import sys
from html import unescape
from pathlib import Path

import pytest

import winnow as wn
from winnow import report
from winnow.experiment.store.experiments import stored_experiments
from winnow.experiment.store.store import Store

SMALL = {
    "train.steps": "20it",
    "train.evaluate": "10it",
    "prune.rounds": 1,
    "model.hidden": [9, 5],
    "engine": "dense",
}
OVERRIDES = [f"{key}={value}" for key, value in SMALL.items()]


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store") / "runs"


@pytest.fixture(scope="module")
def outcome(store):
    return wn.run("lth/digits", replicates=2, store=store, overrides=OVERRIDES, jobs=1)


def test_the_outcome_has_rows_table_verdict_and_page(outcome, store):
    arms = [(row.arm, row.replicate, row.round) for row in outcome.results.rows]
    expected = [("ticket", 0), ("ticket", 1), ("reinit", 1), ("random", 1), ("one-shot", 1)]
    assert sorted(arms) == sorted((arm, r, round_) for arm, round_ in expected for r in (0, 1))
    assert all(row.status == "done" and row.iterations == 20 for row in outcome.results.rows)
    assert all(0 <= row.stop_test_accuracy <= 1 for row in outcome.results.rows)
    assert all(row.stop_iteration in (0, 10, 20) for row in outcome.results.rows)
    assert {"dense", "ticket", "reinit", "random", "one-shot"} <= set(outcome.table.split())
    assert "ticket against dense: the paper's rule" in outcome.verdict
    assert outcome.brief_verdict in outcome.verdict or "ticket against" in outcome.brief_verdict
    assert outcome.page.name == "index.html"
    assert outcome.page.parent.parent == store / "reports"
    assert outcome.page.parent.name.startswith("lth-digits-")  # and a hash of what is changed
    assert outcome.page.read_text().lower().startswith("<!doctype html")
    assert len(outcome.paths.csv.read_text().splitlines()) == 1 + len(outcome.results.rows)
    assert all(figure.stat().st_size > 1000 for figure in outcome.paths.figures)


def test_running_again_trains_nothing_and_gives_the_same(outcome, store, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a worker is started")

    monkeypatch.setattr("subprocess.Popen", refuse)
    again = wn.run("lth/digits", replicates=2, store=str(store), overrides=SMALL)
    assert again.results.rows == outcome.results.rows
    assert again.table == outcome.table
    part = wn.run(
        "lth/digits", store=store, overrides=[*OVERRIDES, "replicates=1"], only=["random"]
    )
    assert {row.arm for row in part.results.rows} == {"ticket", "random"}
    assert {row.replicate for row in part.results.rows} == {0}


def test_the_store_is_the_one_given_or_named_by_the_environment_or_runs(
    outcome, store, tmp_path, monkeypatch
):
    assert outcome.results.rows
    monkeypatch.setattr("winnow.experiments.execute", lambda *_: None)
    monkeypatch.setattr("winnow.experiments._check_kept", lambda *_: None)
    monkeypatch.setenv("WINNOW_STORE", str(store))
    assert wn.run("lth/digits", replicates=2, overrides=SMALL).results.rows == outcome.results.rows
    monkeypatch.delenv("WINNOW_STORE")
    monkeypatch.chdir(tmp_path)
    new = wn.run("lth/digits", replicates=2, overrides=SMALL)
    assert new.results.rows == ()  # nothing was trained, and nothing is finished there
    assert new.results.missing == 8
    assert new.page.is_relative_to(Path("runs"))
    assert (tmp_path / "runs" / "store.json").exists()


def test_what_an_experiment_consists_of_is_stored_before_it_is_trained(tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("winnow.experiments.execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        wn.run("lth/digits", replicates=2, overrides=SMALL, store=tmp_path)
    (stored,) = stored_experiments(Store(tmp_path), "lth/digits")
    assert len(stored.runs) == 8
    assert report.read_results(stored, Store(tmp_path)).missing == 8


def test_what_is_printed_first_is_brief(outcome):
    sentence, table = outcome.brief.split("\n\n")
    assert sentence == report.answer(outcome.results)
    assert len(sentence.splitlines()) == 1
    assert table.splitlines()[1].split() == ["weights", "ticket", "reinit", "random", "one-shot"]
    mean = sum(row.stop_test_accuracy for row in outcome.results.rows if row.arm == "random") / 2
    assert table.splitlines()[-1].split()[4] == f"{100 * mean:.2f}"


def test_rows_are_a_data_frame_where_pandas_is(outcome):
    frame = outcome.rows
    assert list(frame.columns) == outcome.paths.csv.read_text().splitlines()[0].split(",")
    assert len(frame) == len(outcome.results.rows)
    best = frame[(frame.arm == "ticket") & (frame["round"] == 1)].stop_test_accuracy.mean()
    own = [r for r in outcome.results.rows if (r.arm, r.round) == ("ticket", 1)]
    assert best == pytest.approx(sum(r.stop_test_accuracy for r in own) / 2)


def test_without_pandas_rows_are_plain(outcome, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # importing it raises ImportError
    assert outcome.rows == outcome.results.rows
    assert outcome._repr_html_()


def test_a_notebook_shows_answer_figure_and_table(outcome):
    html = outcome._repr_html_()
    assert outcome.answer in unescape(html)
    assert html.count("data:image/svg+xml;base64,") == 1
    assert "<script" not in html
    assert outcome.answer in repr(outcome)


def test_a_report_has_tables_and_typed_rows(outcome):
    names = {path.name for path in outcome.paths.tables}
    assert {path.suffix for path in outcome.paths.tables} == {".csv", ".md", ".tex"}
    assert "lth-digits-accuracy-at-stop.tex" in names
    assert all(path.is_file() for path in outcome.paths.tables)
    assert outcome.paths.parquet is not None
    assert outcome.paths.parquet.is_file()


def test_events_tell_of_every_run(store, outcome):
    assert outcome.results.rows
    heard = []

    def on_plan(plan, place):
        assert place.path == store
        missing = [run for run in plan.runs.values() if place.find(run) is None]
        assert len(missing) == 1  # the dense run of the third replicate
        return heard.append

    wn.run(
        "lth/digits",
        replicates=3,
        store=store,
        overrides={**SMALL, "prune.rounds": 0, "controls.one-shot": "none"},
        jobs=1,
        on_plan=on_plan,
    )
    kinds = [event.kind for event in heard]
    assert (kinds[0], kinds[-1]) == ("started", "done")
    assert len({event.run for event in heard}) == 1
    assert max(event.step for event in heard) == 20


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"recipe": "lth/digts"}, "Did you mean 'lth/digits'"),
        ({"overrides": "train.steps=5it"}, "give a list"),
        ({"overrides": ["train.stepz=5it"]}, "Did you mean 'train.steps'"),
        ({"overrides": {"train.steps": 5}}, "train.steps is 5: write iterations"),
        ({"overrides": ["train.steps"]}, "write key=value"),
        ({"replicates": 0}, "replicates is 0"),
        ({"replicates": "2"}, "replicates is '2': input should be a valid integer"),
        ({"jobs": 0}, "at least 1 worker is needed"),
        ({"only": "ticket"}, "give a list of arms, ['ticket']"),
        ({"only": ["tickets"]}, "Did you mean 'ticket'"),
    ],
)
def test_bad_arguments_are_told_before_training(arguments, told, tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a worker is started"))
    with pytest.raises(wn.UserError) as caught:
        wn.run(**{"recipe": "lth/digits", "store": tmp_path / "runs", **arguments})
    assert told in str(caught.value)


def test_a_store_that_cannot_be_one_is_told_before_training(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(wn.UserError, match="cannot be written"):
        wn.run("lth/digits", store=tmp_path / "file")
