"""Groups of runs that train as one stack: fewer tasks, equal results, resumed in the same bits."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from inline_pool import InlinePool

from winnow.data import load_images
from winnow.engine.auto import Auto, Choice
from winnow.engine.calibration import (
    Calibration,
    Cost,
    Layer,
    Other,
    Rung,
    calibrated,
    calibration_key,
)
from winnow.engine.stacked import StackedEngine
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.runs import Record
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store
from winnow.experiment.train import choosing, executor, tasks
from winnow.experiment.train.checkpoint import Checkpoints, Progress, save_checkpoint
from winnow.experiment.train.choosing import (
    choose_engine,
    in_one_line,
    known,
    planned,
    settle,
)
from winnow.experiment.train.executor import Settings, execute
from winnow.experiment.train.job import make_job
from winnow.experiment.train.protocol import Order, Task
from winnow.experiment.train.seats import Seat, stacks
from winnow.experiment.train.start import starting_state
from winnow.experiment.train.worker import serve
from winnow.kernels.simd import W

SMALL = [
    "train.steps=60it",
    "model.hidden=[20, 10]",
    "prune.rounds=2",
    "controls.one-shot=none",
]
SIZES = {"hidden.0.weight": 1280, "hidden.1.weight": 200, "output.weight": 100}


pytestmark = pytest.mark.usefixtures("own_cache", "no_fsync")


def plan_of(*overrides, engine="stacked", replicates=2):
    recipe = load_recipe("lth/digits", [*SMALL, f"engine={engine}", *overrides], replicates)
    return expand("small", recipe, Source(1437, load_images("digits").content))


def executed(plan, path, **settings):
    """The store, and the tasks that it took."""
    store, started = Store(path).open(), []
    execute(plan, store, Settings(1, **settings), pool=lambda _: InlinePool(store, started))
    return store, started


def results(plan, store):
    """By arm, replicate and round, with what trained it."""
    return {
        (node.arm, node.replicate, node.round): store.find(node.run, plan.records[node.run.id])
        for node in plan.nodes
    }


def bits(found):
    """All that is stored of a run but the time it took; tensors by their hashes."""
    return {k: v for k, v in vars(found.result).items() if k != "seconds"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A plan, its store after an execution that nothing interrupted, and its tasks."""
    plan = plan_of()
    return plan, *executed(plan, tmp_path_factory.mktemp("whole") / "runs")


def test_a_group_is_one_task_and_one_stack(whole, tmp_path, monkeypatch):
    plan, _, started = whole
    assert len(plan.runs) == 14  # 2 replicates of dense, two tickets, reinitialised, random ones
    assert [len(task.orders) for task in started] == [2, 6, 6]
    assert [task.width for task in started] == [2, 6, 6]
    opened = []
    open_many = StackedEngine.open_many

    def counted(engine, jobs, states, width):
        opened.append((len(jobs), width))
        return open_many(engine, jobs, states, width)

    monkeypatch.setattr(StackedEngine, "open_many", counted)
    monkeypatch.setattr("winnow.engine.stacked.StackedEngine.open", None)
    executed(plan, tmp_path / "runs")
    assert opened == [(2, 2), (6, 6), (6, 6)]  # the best weights of all runs are the last ones


def test_it_gives_what_the_dense_engine_gives(whole, tmp_path):
    """Early rounds have the same masks; later ones may differ by rounding."""
    plan, store, _ = whole
    dense = plan_of(engine="dense")
    other, started = executed(dense, tmp_path / "runs")
    assert [len(task.orders) for task in started] == [1] * 14
    assert {task.width for task in started} == {None}
    mine, theirs = results(plan, store), results(dense, other)
    for key, found in mine.items():
        expected, last = theirs[key].result, key[2] == 2
        assert found.result.status == expected.status == "done"
        assert found.result.kept == expected.kept
        for curve in ("validation_loss", "validation_accuracy", "test_accuracy"):
            tolerance = 0.1 if last else 2e-3 if "loss" in curve else 0.006
            assert found.result.curve[curve] == pytest.approx(expected.curve[curve], abs=tolerance)
        if key[2] < 2:
            ours, reference = found.state("final"), theirs[key].state("final")
            assert ours.mask == reference.mask
            for name, weight in ours.weights.items():
                torch.testing.assert_close(weight, reference.weights[name], rtol=0.01, atol=1e-3)


def test_width_and_place_are_stored_with_each_run(whole):
    plan, store, _ = whole
    for group in plan.groups:
        for place, identity in enumerate(group.runs):
            found = store.find(plan.runs[identity])
            assert found.provenance["engine"] == "stacked"
            choice = Choice.load(found.provenance["choice"])
            assert choice == Choice("stacked", width=group.width, place=place)
            assert found.result.seconds > 0


class KilledError(BaseException):
    """Goes through whatever catches faults."""


@pytest.fixture(autouse=True)
def _every_step_is_told(monkeypatch):
    """Kills come at steps."""
    monkeypatch.setattr("winnow.experiment.train.tasks._TELL_EVERY", 0.0)


def killed(store, task, at):
    """Serve a task until it reaches an iteration; a checkpoint at every step."""

    def tell(answer):
        if answer.event == "step" and answer.step >= at:
            raise KilledError

    with pytest.raises(KilledError):
        serve(store, replace(task, checkpoint=0.0), tell)


@pytest.mark.parametrize("at", [2, 20, 45])
def test_killed_in_the_middle_a_run_resumes_alone_in_the_same_bits(
    whole, tmp_path, monkeypatch, at
):
    _, reference, started = whole
    store = Store(tmp_path / "runs").open()
    first, second = started[:2]
    serve(store, first, lambda _: None)
    killed(store, second, at)
    assert len(list((store.path / "checkpoints").glob("*.safetensors"))) == 6
    assert len(store.all()) == 2
    begun = []
    trained = tasks.train_together

    def noted(orders, *rest):
        begun.append({place: one.state.step for place, one in orders.items()})
        return trained(orders, *rest)

    monkeypatch.setattr(tasks, "train_together", noted)
    for order in (second.orders[4], second.orders[0]):
        serve(store, replace(second, orders=(order,)), lambda _: None)
        mine, theirs = (s.find(order.run, order.record) for s in (store, reference))
        assert bits(mine) == bits(theirs)
        assert begun[-1].keys() == {order.place}
        assert 0 < begun[-1][order.place] < 60
    serve(store, second, lambda _: None)  # the rest, without those two
    assert begun[-1].keys() == {1, 2, 3, 5}
    for order in second.orders:
        mine, theirs = (s.find(order.run, order.record) for s in (store, reference))
        assert bits(mine) == bits(theirs)
    assert not list((store.path / "checkpoints").glob("*.safetensors"))


def test_runs_that_were_killed_at_different_steps_go_on_apart(whole, tmp_path):
    """As happens between the checkpoints of one group."""
    _, reference, (first, *_) = whole
    store = Store(tmp_path / "runs").open()
    killed(store, first, 20)
    early = store.checkpoint(first.orders[0].run).read_bytes()
    killed(store, first, 45)
    store.checkpoint(first.orders[0].run).write_bytes(early)
    serve(store, first, lambda _: None)
    for order in first.orders:
        mine, theirs = (s.find(order.run, order.record) for s in (store, reference))
        assert bits(mine) == bits(theirs)


def test_a_resumed_run_keeps_its_width_and_place(whole, tmp_path):
    """Whatever the plan's groups are by now: with more replicates they are wider."""
    _, reference, (first, *_) = whole
    store = Store(tmp_path / "runs").open()
    killed(store, first, 20)
    wider = plan_of(replicates=3)
    execute(wider, store, Settings(1), pool=lambda _: InlinePool(store, []))
    choices = {}
    for place, order in enumerate(first.orders):
        mine, theirs = (s.find(order.run, order.record) for s in (store, reference))
        assert bits(mine) == bits(theirs)
        choices[place] = Choice.load(mine.provenance["choice"])
    assert choices == {n: Choice("stacked", width=2, place=n) for n in range(2)}
    third = next(n.run for n in wider.nodes if (n.round, n.replicate) == (0, 2))
    choice = Choice.load(store.find(third).provenance["choice"])
    assert choice == Choice("stacked", width=3, place=2)


def test_a_checkpoint_that_names_no_width_was_trained_by_itself(whole, tmp_path):
    """As before runs were stacked."""
    plan = whole[0]
    run = plan.nodes[0].run
    checkpoints = Checkpoints(tmp_path / "c.safetensors", 0.0, {"engine": "stacked", "torch": []})
    save_checkpoint(checkpoints, Record(), starting_state(run, None), Progress())
    choice = choose_engine(run, make_job(run), lambda: None, checkpoints.path, None, Seat(2, 1))
    assert choice == Choice("stacked", width=1, place=0)


def test_only_some_arms_and_what_is_stored_change_no_bit(whole, tmp_path):
    plan, reference, _ = whole
    _, started = executed(plan.only(["ticket"]), tmp_path / "runs")
    assert [(len(t.orders), t.width) for t in started] == [(2, 2), (2, 6), (2, 6)]
    more, rest = executed(plan, tmp_path / "runs")
    assert [(len(t.orders), t.width) for t in rest] == [(4, 6), (4, 6)]
    mine, theirs = results(plan, more), results(plan, reference)
    assert {k: bits(v) for k, v in mine.items()} == {k: bits(v) for k, v in theirs.items()}


def test_a_run_of_a_group_that_another_process_trains_is_left_to_it(whole, tmp_path):
    _, reference, (first, *_) = whole
    store = Store(tmp_path / "runs").open()
    held, free = first.orders
    told = []
    with store.lock(held.run) as is_free:
        assert is_free
        serve(store, first, told.append)
    events = [(a.event, a.run) for a in told if a.event != "step"]
    assert events == [("busy", held.run.id), ("done", free.run.id), ("idle", "")]
    assert store.find(held.run) is None
    mine, theirs = (s.find(free.run, free.record) for s in (store, reference))
    assert bits(mine) == bits(theirs)


def test_one_that_diverges_leaves_the_others_as_they_are(tmp_path, monkeypatch):
    plan = plan_of("prune.rounds=1")
    calm, _ = executed(plan, tmp_path / "calm")
    made = tasks.starting_state
    wild = plan.nodes[0].run

    def start(run, *rest):
        state = made(run, *rest)
        if run.id != wild.id:
            return state
        return replace(state, weights={n: w * 1e25 for n, w in state.weights.items()})

    monkeypatch.setattr(tasks, "starting_state", start)
    store, started = executed(plan, tmp_path / "wild")
    assert [(len(t.orders), t.width) for t in started] == [(2, 2), (3, 6)]
    assert store.find(wild).result.status == "diverged"
    assert store.find(wild).result.diverged_at is not None
    mine, theirs = results(plan, store), results(plan, calm)
    lost = [key for key, found in mine.items() if found is None]
    assert lost == [(arm, 0, 1) for arm in ("ticket", "reinit", "random")]
    for key, found in mine.items():
        if key[1] == 1:
            assert bits(found) == bits(theirs[key])


# engine: auto


def give_calibration(plan, store, gpu):
    """One by which a stack of six takes as long as a network alone."""
    job = choosing.sample(plan)
    layers = {name: Layer(size, 1.0) for name, size in SIZES.items()}
    cost = Cost(1e-3, 1e-6)
    others = {"stacked": Other(0.0, Cost(1e-3 / 6, 1e-6), 6)}
    found = Calibration(
        *(calibration_key(job, gpu), {"float32 lanes": W}, (Rung(1.0, cost, cost),)),
        *(layers, {}, others),
    )
    calibrated(store.path / "calibration", found.key, lambda: found)


def test_auto_stacks_small_networks_on_a_gpu(tmp_path, monkeypatch):
    """A GPU is said to be here; the worker, which is asked for stacks, has none."""
    plan, store = plan_of(engine="auto"), Store(tmp_path / "runs").open()
    with monkeypatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: True)
        patch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
        give_calibration(plan, store, "a GPU")
        auto = settle(plan, store, print)
        assert auto.stacks
        assert known(plan, store) == auto
    assert stacks(plan, auto)
    assert Auto.load(json.loads(json.dumps(auto.dump()))) == auto
    line = in_one_line(plan, store, auto)
    assert line.startswith("engine: auto takes stacked for 14 of 14 runs; calibration: ")
    choices = planned(plan, auto)
    assert {(c.engine, c.width) for c in choices.values()} == {("stacked", 2), ("stacked", 6)}
    monkeypatch.setattr(executor, "settle", lambda *_: auto)
    store, started = executed(plan, tmp_path / "runs")
    assert [(len(t.orders), t.width) for t in started] == [(2, 2), (6, 6), (6, 6)]
    for identity, run in plan.runs.items():
        found = store.find(run)
        assert found.provenance["engine"] == "stacked"
        assert Choice.load(found.provenance["choice"]) == choices[identity]


def test_auto_trains_alone_what_has_no_other_to_stack_with(tmp_path):
    plan = plan_of(engine="auto", replicates=1)
    auto = Auto(reason="a GPU", stacks=True)
    dense = plan.nodes[0].run
    assert planned(plan, auto)[dense.id] == Choice("dense", note="a GPU")
    path, job = tmp_path / "none", make_job(dense)
    choice = choose_engine(dense, job, lambda: None, path, auto.dump(), Seat(1, 0))
    assert choice == Choice("dense", note="a GPU")
    choice = choose_engine(dense, job, lambda: None, path, auto.dump(), Seat(5, 3))
    assert choice == Choice("stacked", note="a GPU", width=5, place=3)


def test_masks_that_change_train_alone_on_the_stacked_engine(tmp_path):
    overrides = ["train.steps=40it", "model.hidden=[20, 10]", "engine=stacked"]
    methods = "compare={methods: [{name: set, every: 10it}], densities: [0.3]}"
    recipe = load_recipe("lth/digits", [*overrides, "prune={}", "controls={}", methods], 2)
    plan = expand("small", recipe, Source(1437, load_images("digits").content))
    store, started = executed(plan, tmp_path / "runs")
    assert [(len(t.orders), t.width) for t in started] == [(2, 2), (1, 1), (1, 1)]
    changing = [run for run in plan.runs.values() if run.dynamic]
    assert {store.find(run).provenance["engine"] for run in changing} == {"stacked"}


def test_a_task_in_lines_of_json_is_the_same_task(whole):
    plan, _, started = whole
    parents = {order.run.id for order in started[1].parents}
    assert parents == {node.run.id for node in plan.nodes if node.round == 0}
    text = json.dumps(started[1].dump())
    assert "\n" not in text
    assert Task.load(json.loads(text)) == started[1]
    assert started[1].orders[3] == Order(
        plan.runs[plan.groups[1].runs[3]], plan.records[plan.groups[1].runs[3]], 3
    )
