"""Plans: their order, what is shared, parts of them, and how they are told."""

from __future__ import annotations

import pytest
from sample_plans import points_of, small

from winnow.cli.describe import describe_plan
from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Result, Store

MNIST = Source(60_000, "mnist")


@pytest.fixture(scope="module")
def lenet():
    return expand("lth/lenet-mnist", load_recipe("lth/lenet-mnist"), MNIST)


@pytest.mark.parametrize("rewind", ["init", "20it", "lr", "none"])
def test_parents_come_first(rewind):
    plan = small(
        prune={"rewind": rewind},
        controls={"reinit": 1, "random": 1, "random-reinit": 1, "one-shot": "rounds"},
    )
    seen: set[str] = set()
    for identity, run in plan.runs.items():
        assert seen.issuperset(run.parents)
        seen.add(identity)


def test_recipes_that_need_the_same_training_share_it(lenet):
    continued = expand("lth/lenet-continued", load_recipe("lth/lenet-continued"), MNIST)
    for replicate in range(5):
        one, other = (
            points_of(lenet, "ticket", replicate),
            points_of(continued, "ticket", replicate),
        )
        shared = [a.run.id == b.run.id for a, b in zip(one, other, strict=False)]
        assert shared == [True, True, *[False] * 26]  # the first mask is the same, too
    other_images = expand("x", load_recipe("lth/lenet-mnist"), Source(60_000, "others"))
    assert not other_images.runs.keys() & lenet.runs.keys()


def test_only_some_arms_and_all_that_they_need(lenet):
    reinit = lenet.only(["reinit"])
    assert reinit.arm_names == ["ticket", "reinit"]
    assert [n.round for n in points_of(reinit, "ticket")] == list(
        range(28)
    )  # the last gives no mask
    assert len(reinit.runs) == 5 * (28 + 3 * 28)
    once = lenet.only(["one-shot"])
    assert [n.round for n in points_of(once, "ticket")] == [
        0,
        1,
    ]  # round 1: the same run as the eighth
    assert len(once.runs) == 5 * (1 + 39)
    for part in (reinit, once):
        assert all(parent in part.runs for run in part.runs.values() for parent in run.parents)
    continued = small(prune={"rewind": "none"}).only(["ticket"])
    assert continued.arm_names == ["ticket", "continued"]
    with pytest.raises(UserError, match=r"'tiket'. Did you mean 'ticket'\? This recipe has ticket"):
        lenet.only(["tiket"])


def result(seconds: float) -> Result:
    curve = {"steps": [0], "validation_loss": [1.0], "validation_accuracy": [0.1]}
    curve["test_accuracy"] = []
    return Result("done", None, curve, 0, True, 1.0, {}, {}, {}, {}, seconds)


def test_a_plan_in_words_has_states_costs_and_the_time_left(tmp_path):
    plan = small(controls={"reinit": 1, "one-shot": "rounds"}, replicates=1)
    store = Store(tmp_path).open()
    for node in points_of(plan, "ticket")[:2]:  # the dense run and round 1: 100 iterations in 2 s
        store.write(node.run, plan.records[node.run.id], result(seconds=2.0), {}, {})
    lines = list(describe_plan(plan, store, 2, None))
    head, *rows = lines[: len(plan.nodes) + 1]
    assert head.split() == [
        *("run", "arm", "replicate", "draw", "round", "density", "%", "total", "%", "state")
    ]
    for node, row in zip(plan.nodes, rows, strict=True):
        done = node.arm != "reinit" and node.round < 2
        told = [node.run.folder, node.arm, "0", str(node.draw), str(node.round)]
        density = f"{100 * node.density:.3f}"
        assert row.split() == [*told, density, density, "done" if done else "missing"]
    costs = {row.split()[0]: row.split()[1:] for row in lines[len(rows) + 3 :] if row}
    assert costs["ticket"] == ["4", "2", "400", "44.4"]
    assert costs["reinit"] == ["3", "3", "300", "33.3"]
    assert costs["one-shot"] == ["2", "2", "200", "22.2"]  # its round 1 is the ticket's
    assert "9 runs, 900 iterations; 2 runs done, 7 missing" in lines
    assert lines[-1] == "time left: about 7 s with --jobs 2 (20.00 ms an iteration)"
    assert "about 14 s with --jobs 1" in list(describe_plan(plan, store, 1, None))[-1]


def test_a_plan_without_its_data_says_so(tmp_path):
    plan = small(replicates=1)
    *_, note = describe_plan(plan, Store(tmp_path), 2, "digits is not here yet")
    assert note == "note: digits is not here yet"


def test_a_finished_plan_has_no_time_left(tmp_path):
    plan, store = small(replicates=1), Store(tmp_path).open()
    for identity, run in plan.runs.items():
        store.write(run, plan.records[identity], result(1.0), {}, {})
    assert list(describe_plan(plan, store, 2, None))[-1] == ("time left: none, everything is done")
