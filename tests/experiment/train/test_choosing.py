"""auto in whole experiments: calibrated once, chosen by masks, kept on resume, stored and told."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from kill_run import kill_when_begun

import winnow as wn
from winnow.data import load_images
from winnow.engine.auto import Auto, Choice
from winnow.engine.calibration import (
    Calibration,
    Cost,
    Layer,
    LayerCost,
    Other,
    Rung,
    calibration_key,
    calibration_path,
)
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.runs import SPARSE_GRAPHS, Record
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store
from winnow.experiment.train import choosing
from winnow.experiment.train.checkpoint import Checkpoints
from winnow.experiment.train.choosing import choose_engine, in_one_line, planned, settle
from winnow.experiment.train.executor import Event, Settings, execute
from winnow.experiment.train.job import make_job
from winnow.experiment.train.start import starting_state
from winnow.experiment.train.train import train
from winnow.files import write_whole
from winnow.kernels.simd import W

SMALL = [
    "train.steps=40it",
    "model.hidden=[20, 10]",
    "prune.rounds=2",
    "engine=auto",
    "prune.rate=0.6",
    "prune.rates={}",
    "controls.one-shot=none",
]
SIZES = {"hidden.0.weight": 1280, "hidden.1.weight": 200, "output.weight": 100}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs").open()


def plan_of(*overrides):
    recipe = load_recipe("lth/digits", [*SMALL, *overrides], 1)
    return expand("small", recipe, Source(1437, load_images("digits").content))


def calibrated(plan, break_even):
    """A calibration by which sparse is as fast as dense at a density."""
    rungs = tuple(
        Rung(d, Cost(1e-3, 0.0), Cost((d / break_even) * 1e-3, 0.0)) for d in (1.0, 0.5, 0.01)
    )
    layers = {name: Layer(size, 1.0) for name, size in SIZES.items()}
    key = calibration_key(choosing.sample(plan))
    return Calibration(key, {"float32 lanes": W}, rungs, layers, dict[str, LayerCost]())


def give(store, found):
    """Put a calibration into a store, as if it had been measured."""
    text = json.dumps({**found.dump(), "sha256": found.hash})
    write_whole(calibration_path(store.path / "calibration", found.key), text)


def executed(plan, store):
    told: list[Event] = []
    execute(plan, store, Settings(jobs=1), told.append)
    return [event.text for event in told if event.kind == "note"]


def stored(plan, store):
    found = {i: store.find(run) for i, run in plan.runs.items()}
    assert all(found.values())
    return found


def test_dense_and_sparse_rounds_equal_those_of_the_engines_themselves(store):
    """Round 0 dense, the rest sparse: the same bits as a recipe that names the engine."""
    plan = plan_of()
    found = calibrated(plan, 0.5)
    give(store, found)
    notes = executed(plan, store)
    assert len(plan.runs) == 7  # dense; two tickets, reinitialised and random ones
    assert notes == [
        "engine: auto takes dense for 1, sparse for 6 of 7 runs; calibration: "
        f"{calibration_path(store.path / 'calibration', found.key)}"
    ]
    mixed = stored(plan, store)
    ticket = next(n.run for n in plan.nodes if (n.arm, n.round) == ("ticket", 1))
    dense = plan.nodes[0].run
    for name, run in (("dense", dense), ("sparse", ticket)):
        mine = mixed[run.id]
        assert mine.provenance["engine"] == name
        choice = mine.provenance["choice"]
        assert (choice["engine"], choice["calibration"]) == (name, found.hash)
        assert choice["lanes"] == (W if name == "sparse" else None)
        revision = SPARSE_GRAPHS if name == "sparse" else None
        assert mine.provenance.get("sparse_graphs") == revision
        job, record = make_job(run), plan.records[run.id]
        engine = wn_engine(name)
        result, states = train(run, record, job, engine, lambda r=run: begin(r, mixed))
        assert result.curve == mine.result.curve
        final = mine.state("final")
        for weight, value in states["final"].weights.items():
            assert torch.equal(value, final.weights[weight])


def wn_engine(name):
    from winnow import engine

    return engine.make_engine(name)


def begin(run, found):
    return starting_state(run, found.__getitem__)


def test_arms_of_a_round_share_their_engine_whatever_the_scope():
    for scope in ("layer", "global"):
        plan = plan_of(f"prune.scope={scope}")
        by_round: dict[int, set[Choice]] = {}
        choices = planned(plan, Auto(calibrated(plan, 0.3)))
        for node in plan.nodes:
            by_round.setdefault(node.round, set()).add(choices[node.run.id])
        assert [len(c) for c in by_round.values()] == [1, 1, 1]
        engines = [next(iter(c)).engine for c in by_round.values()]
        assert engines == ["dense", "dense", "sparse"]  # densities 1, 0.4, 0.16


def test_it_is_measured_once_and_found_again(store, monkeypatch):
    plan = plan_of()
    assert in_one_line(plan, store, choosing.known(plan, store)) == (
        "engine: auto chooses by a calibration, which the first run here makes"
    )
    said: list[str] = []
    state = torch.random.get_rng_state()
    first = settle(plan, store, said.append)
    assert torch.equal(torch.random.get_rng_state(), state)  # the caller's random numbers
    (line,) = said
    assert "once for this machine and store" in line
    monkeypatch.setattr("winnow.engine.measure.measure", None)  # cannot be called again
    assert settle(plan, store, said.append) == first
    assert choosing.known(plan, store) == first
    assert said == [line]
    assert first.calibration is not None


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ("refused", "has no kernel"),
        ("compiler", "cannot be compiled here (no LLVM)"),
    ],
)
def test_where_sparse_cannot_train_auto_is_dense_and_says_why(store, monkeypatch, why, told):
    plan = plan_of()
    sparse = "winnow.engine.sparse_cpu.engine.SparseEngine"
    if why == "refused":
        monkeypatch.setattr(f"{sparse}.refuses", lambda *_: "the layer x has no kernel")
    else:

        def prepare(*_):
            raise RuntimeError("no LLVM")

        monkeypatch.setattr(f"{sparse}.prepare", prepare)
    auto = settle(plan, store, never)
    line = in_one_line(plan, store, auto)
    assert line.startswith("engine: auto takes dense for all 7 runs: ")
    assert told in line
    assert told in auto.choose({"hidden.0.weight": 1}).note
    assert not (store.path / "calibration").exists()


def never(text):
    raise AssertionError(text)


# Engines beside dense and sparse


LONG_STEPS = ["train.steps=2000it", "train.evaluate=2000it", "prune.rounds=1"]


def slow(plan, **other):
    """A calibration of steps of a second, of which sparse saves nothing above density 0.01."""
    found = calibrated(plan, 0.02)
    cost = Cost(1.0, 0.0)
    rungs = tuple(replace(r, dense=cost, sparse=Cost(50 * r.density, 0.0)) for r in found.rungs)
    return replace(found, rungs=rungs, **other)


def fakes(monkeypatch, compiled):
    """A compiled engine that is measured at once."""
    measured = []

    def with_compiled(_job, costs, _dense, engine):
        measured.append(engine.name)
        return replace(costs, others={"compiled": compiled})

    monkeypatch.setattr("winnow.engine.rivals.with_compiled", with_compiled)
    return measured


def test_long_runs_have_compiled_measured_once_and_all_arms_share_it(store, monkeypatch):
    measured = fakes(monkeypatch, Other(50.0, Cost(0.5, 0.0)))
    plan = plan_of(*LONG_STEPS)
    give(store, slow(plan))
    monkeypatch.setattr("winnow.experiment.train.others.no_compiler", lambda: None)
    assert choosing.known(plan, store) is None
    said = []
    auto = settle(plan, store, said.append)
    assert said == ["engine: auto tries what compiled costs here, once for this machine and store"]
    assert settle(plan, store, never) == choosing.known(plan, store) == auto
    assert measured == ["compiled"]
    assert {c.engine for c in planned(plan, auto).values()} == {"compiled"}
    assert in_one_line(plan, store, auto).startswith("engine: auto takes compiled for 4 of 4 runs;")
    short = plan_of("train.steps=500it", "train.evaluate=500it")  # of the same kind of work
    assert {c.engine for c in planned(short, settle(short, store, never)).values()} == {"dense"}


def test_a_short_run_asks_for_no_compiler_whatever_its_steps_take(store, monkeypatch):
    measured = fakes(monkeypatch, Other(1.0, Cost(0.1, 0.0)))
    plan = plan_of("train.steps=500it", "train.evaluate=500it")
    give(store, slow(plan))
    assert {c.engine for c in planned(plan, settle(plan, store, never)).values()} == {"dense"}
    assert not measured


def test_without_a_compiler_compiled_is_none_of_them_and_the_note_says_so(store, monkeypatch):
    plan = plan_of(*LONG_STEPS)
    give(store, slow(plan))
    monkeypatch.setattr("winnow.engine.compiled.compiler_here", lambda _: None)
    auto = settle(plan, store, never)
    assert {c.engine for c in planned(plan, auto).values()} == {"dense"}
    assert in_one_line(plan, store, auto).endswith(
        "; without compiled: torch.compile finds no C++ compiler here"
    )


def test_a_compiler_that_failed_is_not_tried_again(store, monkeypatch):
    plan = plan_of(*LONG_STEPS)
    give(store, slow(plan, cannot={"compiled": "it broke"}))
    monkeypatch.setattr("winnow.experiment.train.others.no_compiler", lambda: None)
    auto = settle(plan, store, never)
    assert in_one_line(plan, store, auto).endswith("; without compiled: it broke")


@pytest.mark.parametrize(
    ("dense", "stack", "taken"),
    [
        (1e-3, 9e-4, "dense for 1, stacked for 6"),  # the dense network has none to stack with
        (1e-3, 1.0, "dense for 1, sparse for 6"),
        (1e-5, 1.0, "dense for 7"),
    ],
)
def test_on_a_gpu_the_calibration_decides_among_all(store, monkeypatch, dense, stack, taken):
    """Stacks of three, whose step takes ``stack`` seconds, and a sparse step 0.5 ms at most."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    plan = plan_of()
    found = calibrated(plan, 0.5)
    rungs = tuple(replace(r, dense=Cost(dense, 0.0)) for r in found.rungs)
    other = Other(0.0, Cost(stack / 3, 0.0), 3)
    key = calibration_key(choosing.sample(plan), "a GPU")
    assert key != found.key
    give(store, replace(found, key=key, rungs=rungs, others={"stacked": other}))
    auto = choosing.known(plan, store)
    assert settle(plan, store, never) == auto
    assert f"engine: auto takes {taken} of 7 runs;" in in_one_line(plan, store, auto)


# Resuming


class KilledError(Exception):
    pass


def begun(plan, store, choice):
    """A run's checkpoint, made by the engine of a choice and cut off in the middle."""
    run = plan.nodes[0].run
    checkpoints = Checkpoints(store.checkpoint(run), 0.0, choice and choice.dump())

    def report(step):
        if step >= 15:
            raise KilledError

    engine = wn_engine("dense" if choice is None else choice.engine)
    with pytest.raises(KilledError):
        train(run, Record(), make_job(run), engine, lambda: begin(run, {}), checkpoints, report)
    assert checkpoints.path.exists()
    return run, checkpoints.path


def test_a_resumed_run_keeps_what_it_was_begun_with(store):
    """Whatever the calibration says by now, or if there is none any more."""
    plan = plan_of()
    dense_now, sparse_now = (Auto(calibrated(plan, even)).dump() for even in (0.01, 2.0))
    run, path = begun(plan, store, Choice("sparse", lanes=W, calibration="old"))
    job = make_job(run)
    for auto in (dense_now, sparse_now, None, Auto(reason="no").dump()):
        kept = choose_engine(run, job, never_mask, path, auto)
        assert kept == Choice("sparse", lanes=W, calibration="old")
    path.unlink()
    assert choose_engine(run, job, lambda: None, path, dense_now).engine == "dense"
    assert choose_engine(run, job, lambda: None, path, sparse_now).engine == "sparse"
    begun(plan, store, Choice("dense", calibration="old"))
    assert choose_engine(run, job, never_mask, path, sparse_now).engine == "dense"


def never_mask():
    raise AssertionError("a resumed run needs no mask to choose")


def test_a_whole_experiment_goes_on_with_the_engine_of_the_checkpoint(store):
    plan = plan_of("prune.rounds=0")
    give(store, calibrated(plan, 0.01))  # dense, from now on
    run, _ = begun(plan, store, Choice("sparse", lanes=W, calibration="old"))
    executed(plan, store)
    mine = stored(plan, store)[run.id]
    assert mine.provenance["engine"] == "sparse"
    assert mine.provenance["choice"]["calibration"] == "old"
    whole, states = train(
        run, plan.records[run.id], make_job(run), wn_engine("sparse"), lambda: begin(run, {})
    )
    assert whole.final == mine.result.final
    final = mine.state("final")
    assert all(torch.equal(v, final.weights[n]) for n, v in states["final"].weights.items())


def test_killed_and_with_another_calibration_it_ends_as_if_neither_had_happened(store):
    """A real process: the calibration says sparse, then it is gone, and the new one says dense."""
    overrides = ["prune.rounds=0", "train.steps=6000it", "train.evaluate=2000it"]
    plan = plan_of(*overrides)
    first, other = calibrated(plan, 2.0), calibrated(plan, 0.01)
    give(store, first)
    process = winnow(overrides, store)
    run = plan.nodes[0].run
    kill_when_begun(process, store, run)
    give(store, other)
    (line,) = executed(plan, store)
    assert line.startswith("engine: auto takes dense for 1 of 1 runs")  # for what is not begun
    resumed = stored(plan, store)[run.id]
    assert resumed.provenance["choice"] == Choice("sparse", (), W, first.hash).dump()
    job, record = make_job(run), plan.records[run.id]
    whole, states = train(run, record, job, wn_engine("sparse"), lambda: begin(run, {}))
    assert resumed.result.curve == whole.curve
    final = resumed.state("final")
    assert all(torch.equal(v, final.weights[n]) for n, v in states["final"].weights.items())


def winnow(overrides, store):
    options = [word for text in [*SMALL, *overrides] for word in ("-o", text)]
    command = ["run", "lth/digits", *options, "--store", str(store.path), "--jobs", "1"]
    return subprocess.Popen(
        [sys.executable, "-m", "winnow", *command, "--replicates", "1", "--checkpoint", "0"],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_a_checkpoint_of_the_time_when_auto_was_dense_goes_on_dense(store):
    plan = plan_of()
    run, path = begun(plan, store, None)
    auto = Auto(calibrated(plan, 2.0)).dump()
    assert choose_engine(run, make_job(run), never_mask, path, auto).engine == "dense"


def test_other_vectors_are_told(store, capsys):
    plan = plan_of()
    run, path = begun(plan, store, Choice("sparse", lanes=2 * W))
    kept = choose_engine(run, make_job(run), never_mask, path, None)
    assert (kept.engine, kept.lanes) == ("sparse", W)
    told = capsys.readouterr().err
    assert (
        told == f"note: {run.folder}: begun with vectors of {2 * W} numbers, continued with {W}\n"
    )


def test_a_named_engine_stays_named(store):
    run = replace(plan_of().nodes[0].run, engine="sparse")
    path = store.checkpoint(run)
    choice = choose_engine(run, make_job(run), never_mask, path, None)
    assert choice == Choice("sparse", lanes=W)


# What is told


def test_the_library_and_the_plan_tell_and_store_the_same(tmp_path, capsys):
    store = tmp_path / "runs"
    plan = plan_of("controls.reinit=0", "controls.random=0")
    give(Store(store), calibrated(plan, 0.5))
    overrides = [*SMALL, "controls.reinit=0", "controls.random=0"]
    outcome = wn.run("lth/digits", overrides=overrides, replicates=1, store=store, jobs=1)
    assert len(outcome.results.rows) == 3
    assert capsys.readouterr().err == ""
    engines = [f.provenance["engine"] for f in stored(plan, Store(store)).values()]
    assert engines == ["dense", "sparse", "sparse"]


def test_a_plan_of_few_iterations_measures_nothing(store, monkeypatch):
    """Where runs only score and train a step, as for gradient norms after pruning."""
    monkeypatch.setattr("winnow.engine.measure.measure", None)
    plan = plan_of("train.steps=1it", "train.evaluate=1it", "replicates=1")
    said = []
    auto = settle(plan, store, said.append)
    assert not said
    assert auto.choose({}).engine == "dense"
    assert f"{len(plan.runs)} iterations" in auto.reason
    assert choosing.known(plan, store) == auto


def test_a_stored_calibration_goes_with_kernels_that_compile(store, monkeypatch):
    """They are compiled before workers start, whether or not anything is measured."""

    def prepare(*_):
        raise RuntimeError("no compiler here")

    plan = plan_of()
    give(store, calibrated(plan, 0.5))
    monkeypatch.setattr("winnow.engine.sparse_cpu.engine.SparseEngine.prepare", prepare)
    auto = settle(plan, store, [].append)
    assert auto.calibration is None
    assert "no compiler here" in auto.reason
