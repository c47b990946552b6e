"""Estimates: what they follow from, by plans whose runs nobody trains."""

from __future__ import annotations

import json

import pytest
import torch

from winnow.engine.auto import Auto
from winnow.engine.calibration import Calibration, Cost, Layer, Rung, calibration_key
from winnow.engine.calibration import calibration_path as path_of
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Result, Store
from winnow.experiment.train import choosing, estimate
from winnow.experiment.train.estimate import pace_of, seconds_left
from winnow.files import write_whole
from winnow.kernels.simd import W

SMALL = [
    "train.steps=40it",
    "model.hidden=[20, 10]",
    "prune.rounds=2",
    "prune.rate=0.6",
    "prune.rates={}",
    "controls.one-shot=none",
    "controls.random=0",
    "controls.reinit=0",
]
SIZES = {"hidden.0.weight": 1280, "hidden.1.weight": 200, "output.weight": 100}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs").open()


def plan_of(engine, *overrides, replicates=1):
    """Round 0 at density 1, then 0.4 and 0.16."""
    recipe = load_recipe("lth/digits", [*SMALL, f"engine={engine}", *overrides], replicates)
    return expand("small", recipe, Source(1437, "digits"))


def costs(key=""):
    """A dense step takes 1 ms, a sparse one 2 ms at density 1: as fast as dense at a half."""
    rungs = tuple(Rung(d, Cost(1e-3, 0.0), Cost(2e-3 * d, 0.0)) for d in (1.0, 0.5, 0.01))
    layers = {name: Layer(size, 1.0) for name, size in SIZES.items()}
    return Calibration(key, {"float32 lanes": W}, rungs, layers, {})


def paces(plan, pace):
    """Milliseconds and engine of each round of the tickets."""
    runs = [node.run.id for node in plan.nodes if node.arm == "ticket"]
    return [round(1e3 * pace.seconds[run], 2) for run in runs], [pace.engines[r] for r in runs]


def finish(store, plan, run, engine, seconds):
    """A stored run of a plan, which an engine trained in so many seconds."""
    nothing = {"steps": [0], "validation_loss": [1.0], "validation_accuracy": [0.1]}
    curve = {**nothing, "test_accuracy": []}
    kept = {} if run.keep is None else dict(run.keep)
    result = Result("done", None, curve, 0, True, 1.0, {}, {}, {}, kept, seconds)
    store.write(run, plan.records[run.id], result, {}, {"engine": engine})


def never(_):
    raise AssertionError("measured, though all is known")


def give(store, found):
    """Put a calibration into a store, as if it had been measured."""
    text = json.dumps({**found.dump(), "sha256": found.hash})
    write_whole(path_of(store.path / "calibration", found.key), text)


def test_a_calibration_of_the_store_is_taken(store):
    plan = plan_of("auto")
    found = costs(calibration_key(choosing.sample(plan)))
    give(store, found)
    pace = pace_of(plan, store, never, never)
    assert paces(plan, pace) == ([1.1, 0.88, 0.35], ["dense", "sparse", "sparse"])
    file = path_of(store.path / "calibration", found.key)
    assert pace.basis == f"from calibration {file}"
    assert pace.chosen == choosing.in_one_line(plan, store, Auto(found))
    assert pace.bound is None


def test_stored_runs_set_the_pace_of_a_calibration(store):
    plan = plan_of("auto")
    give(store, costs(calibration_key(choosing.sample(plan))))
    dense, first, _ = (node.run for node in plan.nodes)
    finish(store, plan, dense, "dense", 40 * 3e-3)  # three times what is predicted
    assert paces(plan, pace_of(plan, store, never, never))[0] == [3.0, 2.4, 0.96]
    finish(store, plan, first, "sparse", 40 * 0.8e-3)  # as predicted: the median is twice
    pace = pace_of(plan, store, never, never)
    assert paces(plan, pace)[0] == [2.0, 1.6, 0.64]
    assert pace.basis.endswith(", at the pace of 2 stored runs")


@pytest.fixture
def long_enough(monkeypatch):
    """No plan is too short for auto to measure engines."""
    monkeypatch.setattr(choosing, "_FEW", 0)


def test_a_plan_that_auto_measures_nothing_for_is_estimated_on_the_dense_engine(store):
    pace = pace_of(plan_of("auto"), store, never, lambda _: Cost(4e-3, 0.0))
    assert set(pace.engines.values()) == {"dense"}
    assert "120 iterations are fewer than measuring engines takes" in (pace.chosen or "")


@pytest.mark.usefixtures("long_enough")
def test_without_any_calibration_both_engines_are_looked_at_and_nothing_is_kept(store):
    plan = plan_of("auto")
    before = torch.random.get_rng_state()
    jobs = []

    def both(job):
        torch.rand(3)
        jobs.append(job)
        return costs()

    pace = pace_of(plan, store, both, never)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert jobs[0].batch == 60
    assert paces(plan, pace) == ([1.1, 0.88, 0.35], ["dense", "sparse", "sparse"])
    assert pace.basis == "measured now, on one core, in 0 s"
    assert pace.chosen.startswith("engine: auto would take dense for 1, sparse for 2 of 3 runs; ")
    assert not (store.path / "calibration").exists()


def test_a_recipe_that_names_sparse_is_estimated_by_density_too(store):
    plan = plan_of("sparse")
    pace = pace_of(plan, store, lambda _: costs(), never)
    assert paces(plan, pace) == ([2.2, 0.88, 0.35], ["sparse"] * 3)
    assert pace.chosen is None
    finish(store, plan, plan.nodes[1].run, "sparse", 40 * 1.6e-3)
    pace = pace_of(plan, store, lambda _: costs(), never)
    assert paces(plan, pace)[0] == [4.0, 1.6, 0.64]
    assert pace.basis == "measured now, on one core, in 0 s, at the pace of 1 stored run"


@pytest.mark.usefixtures("long_enough")
@pytest.mark.parametrize("engine", ["auto", "sparse"])
def test_where_kernels_are_not_compiled_dense_is_the_most_it_takes(store, engine):
    plan = plan_of(engine)
    pace = pace_of(plan, store, lambda _: None, lambda _: Cost(4e-3, 1e-4))
    images = 200 / 20  # evaluated for each step
    assert paces(plan, pace) == ([round(1.1 * (4 + images * 0.1), 2)] * 3, ["dense"] * 3)
    assert pace.bound.startswith("the sparse engine is not compiled on this machine yet")


def test_nothing_is_compiled_to_estimate(monkeypatch):
    monkeypatch.setattr(estimate.SparseEngine, "is_compiled", lambda *_: False)
    monkeypatch.setattr(estimate, "glance", None)
    assert estimate.look_at_both(choosing.sample(plan_of("auto"))) is None


def test_the_dense_engine_takes_the_same_at_each_density(store):
    plan = plan_of("dense")
    pace = pace_of(plan, store, never, lambda _: Cost(4e-3, 0.0))
    assert paces(plan, pace) == ([4.4] * 3, ["dense"] * 3)
    assert (pace.basis, pace.chosen, pace.bound) == (
        "measured now, on one core, in 0 s",
        None,
        None,
    )
    for node, seconds in zip(plan.nodes, (1.0, 2.0, 9.0), strict=True):
        finish(store, plan, node.run, "dense", seconds)
    pace = pace_of(plan, store, never, never)
    assert paces(plan, pace)[0] == [50.0] * 3  # 2 s, the median
    assert pace.basis == "from 3 stored runs"


@pytest.mark.parametrize(
    ("engine", "bound"), [("stacked", "small networks train together in stacks"), ("compiled", "")]
)
def test_other_engines_are_as_fast_as_dense_as_far_as_is_known(store, engine, bound):
    plan = plan_of(engine)
    pace = pace_of(plan, store, never, lambda _: Cost(4e-3, 0.0))
    assert paces(plan, pace) == ([4.4] * 3, ["dense"] * 3)
    assert (pace.bound or "").startswith(bound)
    assert (pace.bound is None) is (bound == "")
    finish(store, plan, plan.nodes[0].run, engine, 2.0)
    pace = pace_of(plan, store, never, never)
    assert paces(plan, pace) == ([50.0] * 3, [engine] * 3)
    assert pace.bound is None


@pytest.mark.parametrize("stacks", [False, True])
def test_auto_on_a_gpu_is_dense_and_at_most_that_where_it_stacks(store, monkeypatch, stacks):
    auto = Auto(reason="a GPU is here", stacks=stacks)
    monkeypatch.setattr(estimate, "known", lambda *_: auto)
    pace = pace_of(plan_of("auto"), store, never, lambda _: Cost(4e-3, 0.0))
    assert set(pace.engines.values()) == {"dense"}
    assert pace.chosen == choosing.in_one_line(plan_of("auto"), store, auto)
    assert (pace.bound is not None) is stacks


def test_runs_of_another_network_or_engine_set_no_pace(store):
    plan = plan_of("dense")
    for other in (plan_of("dense", "model.hidden=[9, 5]"), plan_of("stacked")):
        finish(store, other, other.nodes[0].run, "dense", 9.0)
    pace = pace_of(plan, store, never, lambda _: Cost(4e-3, 0.0))
    assert paces(plan, pace)[0] == [4.4] * 3


def test_the_time_left_is_that_of_all_workers_or_of_the_longest_chain():
    plan = plan_of("dense", replicates=2)  # two chains of three runs of 40 iterations
    each = dict.fromkeys(plan.runs, 1.0)
    missing = dict.fromkeys(plan.runs, "missing")
    assert seconds_left(plan, missing, each, 1) == pytest.approx(6 * 40, rel=1e-2)
    assert seconds_left(plan, missing, each, 2) == pytest.approx(3 * 40, rel=1e-2)
    assert seconds_left(plan, missing, each, 99) == pytest.approx(3 * 40, rel=1e-2)
    done = {**missing, plan.nodes[0].run.id: "done"}
    assert seconds_left(plan, done, each, 1) == pytest.approx(5 * 40, rel=1e-2)
    nothing = dict.fromkeys(plan.runs, "done")
    assert seconds_left(plan, nothing, each, 1) == 0


def test_a_slow_run_counts_by_its_own_pace():
    plan = plan_of("dense")
    first, *rest = plan.runs
    each = {first: 1.0, **dict.fromkeys(rest, 0.1)}
    missing = dict.fromkeys(plan.runs, "missing")
    assert seconds_left(plan, missing, each, 1) == pytest.approx(40 + 2 * 4, rel=1e-2)


def test_replicates_share_what_is_known_of_their_kind(store):
    plan = plan_of("dense", replicates=2)
    dense = plan.nodes[0].run
    finish(store, plan, dense, "dense", 2.0)
    assert set(pace_of(plan, store, never, never).seconds.values()) == {0.05}


FILES = ["data.name=imagenet", "data.size=32", "data.validation=0", "train.batch=40"]


def test_images_in_files_are_estimated_from_a_small_batch(store, monkeypatch):
    """Whole batches of large images may be more than a machine that only plans can hold."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe = load_recipe("lth/digits", [*SMALL, *FILES, "engine=auto"], 1)
    plan = expand("files", recipe, Source(1_281_167, "not here"))
    jobs = []

    def dense(job):
        jobs.append(job)
        return Cost(1e-3, 0.0)

    pace = pace_of(plan, store, never, dense)
    (job,) = jobs
    assert (job.batch, tuple(job.data.splits["train"].images.shape)) == (8, (8, 3, 32, 32))
    assert paces(plan, pace) == ([5.5] * 3, ["dense"] * 3)  # 1.1 · 40 / 8
    assert "imagenet stay in files, and sparse takes those in memory alone" in pace.chosen


def test_stored_runs_of_another_size_of_image_say_nothing(store):
    plans = {}
    for size in (32, 64):
        changes = [*FILES, f"data.size={size}", "engine=dense"]
        recipe = load_recipe("lth/digits", [*SMALL, *changes], 1)
        plans[size] = expand("files", recipe, Source(1_281_167, "images"))
    finish(store, plans[32], plans[32].nodes[0].run, "dense", 40 * 7e-3)
    assert paces(plans[32], pace_of(plans[32], store, never, never))[0] == [7.0] * 3
    other = pace_of(plans[64], store, never, lambda _: Cost(1e-3, 0.0))
    assert paces(plans[64], other)[0] == [5.5] * 3
