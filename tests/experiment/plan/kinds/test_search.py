"""Mask searches in comparisons: their runs and options, resume, frozen weights, fine-tuning."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
import yaml

import winnow as wn
from winnow.algorithms.search import SEARCH_METHODS as SEARCHES
from winnow.cli.describe.plan import describe_plan
from winnow.cli.describe.runs import describe_run, describe_whole_run
from winnow.data import load_images
from winnow.engine.auto import Auto
from winnow.engine.dense import DenseEngine
from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.run_parts import RunInit
from winnow.experiment.runs import LEGACY, Record, Start, identity, load_run
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store
from winnow.experiment.store.weights import copy_weights, read_weights
from winnow.experiment.train.checkpoint import Checkpoints
from winnow.experiment.train.choosing import choose_engine, planned
from winnow.experiment.train.job import initial_network, make_job
from winnow.experiment.train.start import starting_state
from winnow.experiment.train.train import train
from winnow.reparametrisation import SCORES

ALL = 64 * 20 + 20 * 12 + 12 * 10
TUNED = {"name": "jackpot", "start": "snip", "fine_tune": {"steps": "12it", "schedule": "cosine"}}
WRITTEN = {
    "data": {"name": "digits", "validation": 100},
    "model": {"name": "lenet-300-100", "hidden": [20, 12]},
    "train": {
        "steps": "40it",
        "batch": 50,
        "optimizer": {"name": "momentum", "lr": 0.05},
        "evaluate": "10it",
    },
    "compare": {"methods": ["random", "edge-popup", "supermask", TUNED], "densities": [0.3, 0.1]},
    "replicates": 1,
}


pytestmark = pytest.mark.usefixtures("own_cache")


def plan(methods=WRITTEN["compare"]["methods"], densities=(0.3, 0.1), **changes):
    compare = {"methods": list(methods), "densities": list(densities)}
    recipe = check_recipe({**WRITTEN, "compare": compare, **changes}, "small")
    return expand("small", recipe, Source(1437, load_images("digits").content))


def runs(made, arm):
    return [node.run for node in made.nodes if node.arm == arm and node.round]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The small comparison, run from the front: its outcome, its plan, and what is stored."""
    place = tmp_path_factory.mktemp("whole")
    (place / "small.yaml").write_text(yaml.safe_dump({**WRITTEN, "engine": "dense"}))
    outcome = wn.run(str(place / "small.yaml"), store=place / "runs", jobs=1)
    made, store = plan(engine="dense"), Store(place / "runs")
    return outcome, made, {run.id: store.find(run) for run in made.runs.values()}


def test_what_the_runs_of_searches_are():
    made = plan()
    dense = made.nodes[0].run
    for arm in SEARCHES:
        for run, density in zip(runs(made, arm), (0.3, 0.1), strict=True):
            assert run.search.name == arm
            assert run.search.options["density"] == density
            assert run.keep == round(density * ALL)
            assert (run.begin, run.end, run.steps) == (0, 40, 40)
            assert run.optimizer == SEARCHES[arm].optimizer
            about = {"drops": (), "every": None, "to": 0.0}
            assert asdict(run.schedule) == {**SEARCHES[arm].schedule, **about}
            assert load_run(asdict(run)).id == run.id
    for arm in ("edge-popup", "supermask"):
        for run, density in zip(runs(made, arm), (0.3, 0.1), strict=True):
            assert run.model.init == RunInit("signed-kaiming", None, density)
            assert run.start == Start("init")
            assert run.search.options.get("probability", density) == density
    for run in runs(made, "jackpot"):
        assert run.model == dense.model
        assert run.start == Start("final", dense.id)
        assert run.parents == (dense.id,)


def test_fine_tuning_is_an_arm_that_needs_the_search():
    made = plan()
    assert made.arm_names[-2:] == ["jackpot", "jackpot-fine-tuned"]
    for found, tuned in zip(runs(made, "jackpot"), runs(made, "jackpot-fine-tuned"), strict=True):
        assert tuned.parents == (found.id,)
        assert (tuned.begin, tuned.end, tuned.steps) == (0, 12, 12)
        assert tuned.schedule.name == "cosine"
        assert tuned.optimizer == made.nodes[0].run.optimizer
        assert tuned.keep == found.keep
        assert tuned.search is None
    only = made.only(["jackpot-fine-tuned"])
    assert only.arm_names == ["ticket", "jackpot", "jackpot-fine-tuned"]
    assert made.only(["random"]).arm_names == ["ticket", "random"]


def test_costs_count_the_dense_training_the_warm_start_and_the_tuning():
    made, epoch, seen = plan(), 27, 256 / 1337
    costs = {n.arm: n.cost for n in made.nodes if n.round == 2}
    assert costs["edge-popup"] == costs["supermask"] == pytest.approx(40 / epoch)
    assert costs["jackpot"] == pytest.approx(80 / epoch + seen)
    assert costs["jackpot-fine-tuned"] == pytest.approx(92 / epoch + seen)


def test_searches_train_as_long_and_in_such_batches_as_they_say():
    """1,337 examples are 27 batches of 50, 14 of 100: 5 epochs of these are 70 iterations."""
    own = {"steps": "5ep", "batch": 100, "schedule": {"name": "steps", "drops": ["3ep"]}}
    train = {**WRITTEN["train"], "evaluate": "1ep"}
    made = plan(["jackpot", TUNED | {**own, "label": "own"}], train=train)
    for run in runs(made, "own"):
        assert (run.batch, run.begin, run.end, run.steps, run.evaluate) == (100, 0, 70, 70, 14)
        assert run.schedule.drops == (42,)
        assert load_run(asdict(run)) == run
    for run in runs(made, "own-fine-tuned"):  # as train says
        assert (run.batch, run.end, run.steps, run.evaluate) == (50, 12, 12, 27)
    for run in runs(made, "jackpot"):
        assert (run.batch, run.end, run.evaluate) == (50, 40, 27)
    epochs, seen = 40 / 27, 256 / 1337
    costs = {n.arm: n.cost for n in made.nodes if n.round == 2}
    assert costs["own"] == pytest.approx(epochs + 5 + seen)
    assert costs["own-fine-tuned"] == pytest.approx(epochs + 5 + seen + 12 / 27)
    same = plan([{"name": "jackpot", "steps": "40it", "batch": 50}])
    assert [run.id for run in runs(same, "jackpot")] == [
        r.id for r in runs(plan(["jackpot"]), "jackpot")
    ]
    for wrong, said in (
        ({"steps": "0it"}, "steps of jackpot is 0it"),
        ({"batch": 0}, "batch is 0"),
    ):
        with pytest.raises(UserError, match=said):
            plan([{"name": "jackpot", **wrong}])


def test_a_search_of_its_own_length_trains_so_long(tmp_path):
    methods = [{"name": "edge-popup", "steps": "2ep", "batch": 200, "fine_tune": "5it"}]
    recipe = {**WRITTEN, "engine": "dense", "compare": {"methods": methods, "densities": [0.3]}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(recipe))
    outcome = wn.run(str(tmp_path / "own.yaml"), store=tmp_path / "runs", jobs=1)
    assert {row.arm: row.iterations for row in outcome.results.rows} == {
        **{"ticket": 40, "edge-popup": 14, "edge-popup-fine-tuned": 5},
    }
    assert all(row.final_test_accuracy is not None for row in outcome.results.rows)


def test_older_identities_stay():
    """The fields that searches brought are silent where there is no search."""
    run = plan().nodes[0].run
    old = asdict(run)
    del old["search"]
    old["model"] = {**old["model"], "init": {"name": "glorot-normal", "std": None}}
    assert identity(old, LEGACY) == run.id
    assert load_run(old).id == run.id
    before = initial_network(load_run(old)).state_dict()
    assert all(torch.equal(v, before[k]) for k, v in initial_network(run).state_dict().items())


def test_every_option_is_in_the_identity():
    base = plan(["edge-popup", "supermask", "jackpot"], [0.2])
    for name, changed in (
        ("edge-popup", {"absolute": False}),
        ("edge-popup", {"init": "kaiming-normal"}),
        ("edge-popup", {"init": "model.init", "scale_fan": False}),
        ("edge-popup", {"optimizer": {"lr": 0.2}}),
        ("supermask", {"rescale": True}),
        ("supermask", {"probability": 0.5}),
        ("supermask", {"optimizer": {"name": "adam", "lr": 0.1}}),
        ("jackpot", {"removed": 0.99}),
        ("jackpot", {"schedule": {"name": "cosine", "warmup": "1ep"}}),
        ("jackpot", {"rates": "uniform"}),
    ):
        (run,) = runs(plan([{"name": name, **changed}], [0.2]), name)
        assert run.id != runs(base, name)[0].id
    (run,) = runs(plan([{"name": "jackpot", "optimizer": {"lr": 0.2}}], [0.2]), "jackpot")
    assert run.optimizer == {**SEARCHES["jackpot"].optimizer, "lr": 0.2}
    (run,) = runs(
        plan([{"name": "edge-popup", "init": "model.init", "scale_fan": False}], [0.2]),
        "edge-popup",
    )
    assert run.model == base.nodes[0].run.model


def test_layers_left_dense_and_rates_of_layers():
    made = plan([{"name": "jackpot", "ignore": "output"}], [0.3])
    (run,) = runs(made, "jackpot")
    assert run.keep == round(0.3 * ALL) - 120
    assert run.prunable == ("hidden.0.weight", "hidden.1.weight")
    assert made.nodes[-1].weights_kept == round(0.3 * ALL)
    (run,) = runs(plan([{"name": "edge-popup", "rates": "layer"}], [0.013]), "edge-popup")
    assert run.keep == 17 + 3 + 2  # round(0.013 · n) of each; 21 of all


@pytest.mark.parametrize(
    ("method", "changes", "said"),
    [
        ({"name": "jackpot", "strat": "snip"}, {}, "unknown option of jackpot: 'strat'. Did you"),
        ({"name": "jackpot", "start": "sinp"}, {}, "Did you mean 'snip'"),
        ({"name": "jackpot", "init": "normal"}, {}, "unknown option of jackpot: 'init'"),
        ({"name": "jackpot", "density": 0.1}, {}, "densities stand in compare.densities"),
        ({"name": "jackpot", "removed": 1.0}, {}, "jackpot: removed is 1.0"),
        ({"name": "jackpot", "fine_tune": 5}, {}, "jackpot: fine_tune is 5: write 100it"),
        ({"name": "jackpot", "fine_tune": "0it"}, {}, "fine_tune of jackpot is 0it"),
        ({"name": "jackpot", "fine_tune": {"steps": "5"}}, {}, "fine_tune.steps is '5': write"),
        (
            {"name": "jackpot", "optimizer": {"rate": 1.0}},
            {},
            "jackpot: unknown key 'optimizer.rate'",
        ),
        ({"name": "jackpot", "optimizer": "adam"}, {}, "jackpot: optimizer.lr is missing"),
        ({"name": "edge-popup", "init": "signed"}, {}, "edge-popup: init.name is 'signed'"),
        ({"name": "edge-popup", "init": "signed-glorot"}, {}, "scale_fan: false"),
        ({"name": "supermask", "probability": 1.5}, {}, "probability is 1.5"),
        ({"name": "edge-popup", "rates": "layer"}, {"densities": [0.00035]}, "rates: uniform"),
        ("jackpot", {"engine": "sparse"}, "the engine sparse does not: write engine: auto"),
        ("edge-popup", {"engine": "compiled"}, "the engine compiled does not"),
        (
            {"name": "jackpot", "fine_tune": "20it"},
            {"train": {**WRITTEN["train"], "schedule": {"name": "steps", "drops": ["30it"]}}},
            "drop at 30it comes after",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(method, changes, said):
    with pytest.raises(UserError, match=said):
        plan([method], **changes)


def test_names_of_arms_and_of_initialisations():
    with pytest.raises(UserError, match="jackpot-fine-tuned is a method's label"):
        plan([TUNED, {"name": "snip", "label": "jackpot-fine-tuned"}])
    model = {**WRITTEN["model"], "init": {"name": "signed-kaiming", "kept": 0.5}}
    run = plan(["random"], model=model).nodes[0].run
    weight = initial_network(run).get_parameter("hidden.1.weight")
    assert weight.abs().unique().tolist() == pytest.approx([(2 / (0.5 * 20)) ** 0.5])
    with pytest.raises(UserError, match="kept goes with kaiming"):
        plan(["random"], model={**model, "init": {"name": "signed-glorot", "kept": 0.5}})


def test_auto_searches_on_the_dense_engine(tmp_path):
    made = plan()
    choices = planned(made, Auto())
    for arm in SEARCHES:
        for run in runs(made, arm):
            asked = choose_engine(run, make_job(run), dict, tmp_path / "none", None)
            assert (asked.engine, asked.note) == (choices[run.id].engine, choices[run.id].note)
            assert asked.engine == "dense"
            assert "a mask search" in asked.note


def test_counts_are_exact_and_weights_are_frozen(whole):
    _, made, found = whole
    dense = found[made.nodes[0].run.id].state("final")
    for node in made.nodes[1:]:
        state = found[node.run.id].state("final")
        assert state.mask.kept == node.weights_kept == sum(found[node.run.id].result.kept.values())
        if node.arm == "jackpot":
            frozen = dense.weights
        elif node.arm in SEARCHES:
            frozen = initial_network(node.run).state_dict()
        else:
            continue
        assert not state.extras
        for name, weight in state.weights.items():
            keep = state.mask.get(name, torch.ones_like(weight, dtype=torch.bool))
            assert torch.equal(weight, torch.where(keep, frozen[name], 0.0))
    run = runs(made, "jackpot")[0]
    scores = starting_state(run, found.__getitem__).extras[SCORES]
    warm = wn.Mask({name: score == 1 for name, score in scores.items()})
    assert warm.kept == run.keep
    assert found[run.id].state("final").mask != warm  # the search has moved it


def test_fine_tuning_trains_the_weights_of_the_same_mask(whole):
    _, made, found = whole
    for one, other in zip(runs(made, "jackpot"), runs(made, "jackpot-fine-tuned"), strict=True):
        ticket, tuned = found[one.id].state("final"), found[other.id].state("final")
        assert tuned.mask == ticket.mask
        start = starting_state(other, found.__getitem__)
        assert all(torch.equal(w, ticket.weights[n]) for n, w in start.weights.items())
        assert not torch.equal(tuned.weights["output.weight"], ticket.weights["output.weight"])


def test_what_is_stored_evaluates_as_the_search_did(whole):
    _, made, found = whole
    for node in made.nodes:
        job, one = make_job(node.run), found[node.run.id]
        session = DenseEngine("cpu").open(job, one.state("final"))
        for split, accuracy in one.result.final.items():
            assert session.evaluate(split).accuracy == accuracy
        curve = one.result.curve
        place = curve["steps"].index(one.result.stop_iteration)
        assert one.result.stop["validation"] == curve["validation_accuracy"][place]


def test_the_report_the_plan_and_the_listing(whole):
    outcome, made, found = whole
    for arm in (*SEARCHES, "jackpot-fine-tuned"):
        rows = [row for row in outcome.results.rows if row.arm == arm]
        assert [row.status for row in rows] == ["done", "done"]
        assert f"\n{arm} " in outcome.table
    assert "Methods against random" in outcome.verdict
    place = found[made.nodes[0].run.id].folder.parent.parent
    lines = list(describe_plan(made, Store(place), 1, None))
    assert "time left: none, everything is done" in lines
    assert any(line.startswith("jackpot-fine-tuned  ") for line in lines)
    (run, _) = runs(made, "jackpot")
    assert "  done  40 it" in describe_run(found[run.id])
    assert '"name": "jackpot"' in describe_whole_run(found[run.id])


def test_weights_from_a_file_are_known_by_their_content(whole, tmp_path, monkeypatch):
    """A file of the trained network gives the search in the trained network, bit by bit."""
    monkeypatch.setattr("winnow.report.write_report", lambda *_, **__: None)  # figures take seconds
    _, made, found = whole
    dense = found[made.nodes[0].run.id]
    state = dense.state("final")
    torch.save({"state_dict": {**state.weights, **state.buffers}}, tmp_path / "dense.pt")
    folder, file = str(dense.folder), str(tmp_path / "dense.pt")
    (one,) = runs(plan([{"name": "jackpot", "weights": folder}], [0.1], engine="dense"), "jackpot")
    options = {"start": "snip", "weights": file, "fine_tune": "5it"}
    recipe = {**WRITTEN, "compare": {"methods": [{"name": "jackpot", **options}]}}
    recipe["compare"]["densities"] = [0.1]
    (tmp_path / "given.yaml").write_text(yaml.safe_dump({**recipe, "engine": "dense"}))
    outcome = wn.run(str(tmp_path / "given.yaml"), store=tmp_path / "runs", jobs=1)
    (row,) = [row for row in outcome.results.rows if row.arm == "jackpot"]
    assert row.cost == pytest.approx(40 / 27 + 256 / 1337)  # nothing for what was there
    mine = next(f for f in Store(tmp_path / "runs").all() if f.folder.name == row.run)
    assert mine.run.start == one.start == Start("given")
    assert mine.run.search.weights == one.search.weights
    assert mine.run.parents == ()
    assert str(tmp_path) not in str(asdict(mine.run))
    theirs = found[runs(made, "jackpot")[1].id]
    assert mine.result.curve == theirs.result.curve
    assert mine.state("final").mask == theirs.state("final").mask


def test_weights_that_are_lost_damaged_or_of_another_network(whole, tmp_path):
    _, made, found = whole
    folder = found[made.nodes[0].run.id].folder

    def jackpot(weights, **changes):
        return plan([{"name": "jackpot", "weights": weights}], [0.1], **changes)

    with pytest.raises(UserError, match=r"weights of jackpot: .*nowhere\.pt"):
        jackpot(str(tmp_path / "nowhere.pt"))
    other = {"model": {**WRITTEN["model"], "hidden": [20, 13]}}
    with pytest.raises(UserError, match=r"weights of jackpot: .* is for another network"):
        jackpot(str(folder), **other)
    with pytest.raises(UserError, match=r"jackpot: weights is 5"):
        jackpot(5)
    with pytest.raises(UserError, match="unknown option of edge-popup: 'weights'"):
        plan([{"name": "edge-popup", "weights": str(folder)}])
    store = Store(tmp_path / "runs").open()
    content = runs(jackpot(str(folder)), "jackpot")[0].search.weights
    with pytest.raises(UserError, match="run the command again, which copies it"):
        read_weights(store, content)
    copy_weights(jackpot(str(folder)).recipe, store)
    assert read_weights(store, content).step == 0
    (store.path / "weights" / f"{content}.safetensors").rename(
        store.path / "weights" / f"{'0' * 64}.safetensors"
    )
    with pytest.raises(UserError, match="is damaged: run the command again"):
        read_weights(store, "0" * 64)


class CutError(Exception):
    pass


@pytest.mark.parametrize("arm", SEARCHES)
def test_a_search_that_is_cut_off_resumes_to_the_same_bits(arm, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)
    _, made, found = whole
    run, before = runs(made, arm)[1], found[runs(made, arm)[1].id]
    record = Record(frozenset({25}), frozenset({13}))
    checkpoints = Checkpoints(tmp_path / "c", 0.0)

    def go(start, report=None):
        return train(run, record, make_job(run), DenseEngine("cpu"), start, checkpoints, report)

    def cut(step):
        if step >= 17 and checkpoints.path.exists():
            raise CutError

    with pytest.raises(CutError):
        go(lambda: starting_state(run, found.__getitem__), cut)

    def anew():
        raise AssertionError("nothing is scored anew")

    result, states = go(anew)
    plain = {"seconds": 0, "accuracy_at": {}, "files": {}}
    assert replace(result, **plain) == replace(before.result, **plain)
    assert set(result.accuracy_at) == {"25"}
    assert states["step-13"].mask.kept == run.keep
    final = before.state("final")
    assert states["final"].mask == final.mask
    assert all(torch.equal(w, final.weights[n]) for n, w in states["final"].weights.items())


def test_a_search_that_diverges_is_a_result(whole):
    _, made, found = whole
    (run, _) = runs(made, "jackpot")
    wild = replace(run, optimizer={**run.optimizer, "lr": 1e39})
    start = lambda: starting_state(wild, found.__getitem__)  # noqa: E731
    result, states = train(wild, Record(), make_job(wild), DenseEngine("cpu"), start)
    assert result.status == "diverged"
    assert states == {}
    assert result.kept == {}  # its last scores decide nothing
    assert result.stop_iteration < 40


def test_only_searches_name_files_of_weights(tmp_path):
    methods = ["random", {"name": "my_module:mine", "weights": "no-such-file"}]
    compared = {**WRITTEN["compare"], "methods": methods}
    store = Store(tmp_path / "runs").open()
    copy_weights(check_recipe({**WRITTEN, "compare": compared}, "small"), store)
    assert not (store.path / "weights").exists()
