"""Tables of finished runs: what they keep, that they are read like a store, what they refuse."""

from __future__ import annotations

from dataclasses import replace

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_pool import InlinePool
from pyarrow import parquet
from sample_plans import SMALL

from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.store.analyses import find_analysis
from winnow.experiment.store.exported import (
    MadeAnalysis,
    read_exported,
    thinned,
    write_exported,
    write_exported_analyses,
)
from winnow.experiment.store.images import find_source
from winnow.experiment.store.store import Result, Store
from winnow.experiment.train.executor import Settings, execute
from winnow.experiment.train.status import plan_status
from winnow.report import read_results


def planned(rounds=2, **train):
    recipe = {
        **SMALL,
        "train": {**SMALL["train"], "steps": "20it", "evaluate": "5it", **train},
        "prune": {"rounds": rounds, "rate": 0.5},
        "controls": {"reinit": 1},
        "engine": "dense",
        "replicates": 1,
        "analyses": [{"name": "layer_densities"}],
    }
    return expand("small", check_recipe(recipe, "small"), find_source("digits"))


def run(plan, store):
    tasks = []
    execute(plan, store, Settings(1), pool=lambda _: InlinePool(store, tasks))
    return tasks


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    place = Store(tmp_path_factory.mktemp("exported") / "runs").open()
    run(planned(), place)
    return place


@pytest.fixture
def tables(store, tmp_path):
    """A folder that holds tables of all that the store has."""
    plan = planned()
    write_exported(tmp_path / "t", "small", store.all())
    made = [
        MadeAnalysis(p.node, find_analysis(store, p.node.folder, p.node.id)) for p in plan.analyses
    ]
    write_exported_analyses(tmp_path / "t", "small", made)
    return Store(tmp_path / "t")


def test_reports_of_tables_are_those_of_the_store(store, tables):
    one, other = (read_results(planned().experiment(), place) for place in (store, tables))
    assert other.rows == one.rows
    assert other.findings == one.findings
    assert other.missing == 0


def test_nothing_of_a_table_is_trained_again(tables):
    found = plan_status(planned(), tables)
    assert set(found.runs.values()) == {"done"}
    assert found.unmade == frozenset()
    assert run(planned(), tables.open()) == []


def test_runs_whose_states_are_needed_are_trained_again_and_no_others(tables):
    deeper = planned(rounds=3)
    found = plan_status(deeper, tables)
    arms = {node.run.id: (node.arm, node.round) for node in deeper.nodes}
    missing = {arms[i] for i, status in found.runs.items() if status == "missing"}
    tickets = {("ticket", number) for number in range(4)}
    assert missing == tickets | {("reinit", 3)}


def test_what_a_table_has_not_recorded_is_trained_again(tables):
    found = plan_status(planned(test_curve=True), tables)
    assert set(found.runs.values()) == {"missing"}


def test_a_second_export_keeps_what_is_there_and_adds_what_is_new(store, tables, tmp_path):
    path = tables.path / "small.parquet"
    before = path.read_bytes()
    write_exported(tables.path, "small", store.all()[:1])
    assert path.read_bytes() == before
    part = write_exported(tmp_path / "part", "small", store.all()[:2])
    write_exported(tmp_path / "part", "small", store.all())
    assert part.read_bytes() == before


@pytest.mark.parametrize("column", ["id", "run"])
def test_a_row_that_was_changed_is_refused(tables, column):
    path = tables.path / "small.parquet"
    rows = parquet.read_table(path).to_pylist()
    rows[0][column] = rows[1][column]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    with pytest.raises(UserError, match=r"small.parquet cannot be read.*does not hash"):
        read_exported(tables.path)


def test_an_analysis_that_was_changed_is_refused(tables):
    path = tables.path / "small.analyses.parquet"
    rows = parquet.read_table(path).to_pylist()
    rows[0]["rows"] = rows[0]["rows"].replace("1.0", "0.5")
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    with pytest.raises(UserError, match="is not what was written"):
        read_exported(tables.path)


def test_a_file_that_is_no_table_is_refused(tables):
    (tables.path / "small.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(UserError, match=r"small\.parquet cannot be read"):
        plan_status(planned(), tables)


def test_states_are_in_no_table(tables):
    found = next(iter(read_exported(tables.path).runs.values()))
    assert (found.record.states, found.result.files) == (frozenset(), {})
    with pytest.raises(ValueError, match="cannot be read"):
        found.state("final")


ACCURACIES = st.lists(st.integers(0, 50), min_size=1, max_size=300)


@given(ACCURACIES)
def test_thinned_curves_reach_every_accuracy_at_the_same_step(counts):
    steps = list(range(0, 10 * len(counts), 10))
    accuracy = [count / 50 for count in counts]
    loss = [1 - a for a in accuracy]
    curve = {"steps": steps, "validation_loss": loss, "validation_accuracy": accuracy,
             "test_accuracy": [], "test_loss": [], "training_loss": loss}  # fmt: skip
    whole = Result("done", None, curve, 0, False, 0.1, {}, {}, {}, {}, 1.0)
    thin = thinned(whole).curve
    assert len(thin["steps"]) <= 60 + 2 * 51
    assert (thin["steps"][0], thin["steps"][-1]) == (steps[0], steps[-1])
    for wanted in {*accuracy, 0.5}:
        first = [
            next((s for s, a in zip(c["steps"], c["validation_accuracy"], strict=True)
                  if a >= wanted), None)
            for c in (curve, thin)
        ]  # fmt: skip
        assert first[0] == first[1]
    lowest = steps[loss.index(min(loss))]
    assert lowest in thin["steps"]
    assert thinned(replace(whole, curve=thin)).curve["steps"][-1] == steps[-1]
    assert thin["test_accuracy"] == []
