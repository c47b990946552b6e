"""Which runs share a stack: a function of the recipe alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from sample_runs import PRUNING, RUN

from winnow.experiment.plan.groups import WIDEST, groups_of, widest
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.run_parts import RunInit
from winnow.experiment.runs import Start
from winnow.experiment.store.images import Source


def plan_of(*overrides, recipe="lth/digits", replicates=5):
    return expand("r", load_recipe(recipe, overrides, replicates), Source(1437, "c"))


def by_identity(*runs):
    return {run.id: run for run in runs}


def seeded(number, **changes):
    return replace(RUN, seeds={"init": number, "order": number}, **changes)


def test_digits_has_a_group_for_each_round_and_two_of_all_that_is_pruned_from_dense():
    plan = plan_of()
    groups = plan.groups
    assert Counter(i for group in groups for i in group.runs) == Counter(plan.runs.keys())
    assert Counter(group.width for group in groups) == {5: 1, 15: 16, 47: 1, 48: 1}
    for group in groups:
        for identity in group.runs:
            assert not set(plan.runs[identity].parents) & set(group.runs)
    arms = {node.run.id: (node.arm, node.round) for node in plan.nodes}
    third = next(g for g in groups if ("ticket", 3) in {arms[i] for i in g.runs})
    assert {arms[i] for i in third.runs} == {("ticket", 3), ("reinit", 3), ("random", 3)}


def test_a_part_of_the_plan_has_the_groups_of_all():
    plan = plan_of()
    part = plan.only(["ticket"])
    assert len(part.runs) < len(plan.runs)
    assert part.groups == plan.groups
    assert part.only(["ticket"]).groups == plan.groups


def test_seeds_masks_and_weights_may_differ():
    runs = by_identity(
        *(seeded(n) for n in range(3)),
        seeded(0, draw=1),
        seeded(1, model=replace(RUN.model, init=RunInit("kaiming-normal", None))),
        seeded(2, pruning=replace(PRUNING, of=None)),
    )
    (group,) = groups_of(runs)
    assert group.runs == tuple(runs)
    assert group.width == 6


@pytest.mark.parametrize(
    "change",
    [
        {"data": replace(RUN.data, validation=100)},
        {"data": replace(RUN.data, augment="flip-crop")},
        {"model": replace(RUN.model, width=2.0)},
        {"batch": 50},
        {"last_batch": "drop"},
        {"optimizer": {**RUN.optimizer, "lr": 0.1}},
        {"schedule": replace(RUN.schedule, warmup=5)},
        {"clip": 1.0},
        {"begin": 20},
        {"end": 480},
        {"steps": 600},
        {"evaluate": 30},
        {"engine": "stacked"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_stack_shares_may_not_differ(change):
    assert [g.width for g in groups_of(by_identity(seeded(0), seeded(1, **change)))] == [1, 1]


def test_runs_that_need_each_other_are_of_different_depths():
    root, other = seeded(0), seeded(1)
    child = seeded(0, pruning=replace(PRUNING, of=root.id))
    late = seeded(1, pruning=replace(PRUNING, of=child.id))
    twin = seeded(1, pruning=replace(PRUNING, of=other.id))
    groups = groups_of(by_identity(root, other, child, late, twin))
    assert [g.runs for g in groups] == [(root.id, other.id), (child.id, twin.id), (late.id,)]


def test_optimizers_that_made_different_numbers_of_updates_are_apart():
    root = seeded(0)
    at = [
        seeded(1, begin=20, start=Start("state", root.id, step, optimizer))
        for step, optimizer in ((20, "rewound"), (20, "fresh"), (40, "fresh"), (40, "rewound"))
    ]
    groups = groups_of(by_identity(root, *at))
    assert [len(g.runs) for g in groups] == [1, 1, 2, 1]
    assert groups[2].runs == (at[1].id, at[2].id)


@pytest.mark.parametrize("changing", ["dynamic", "search"])
def test_masks_that_change_are_alone(changing):
    about = {"name": "x", "options": {}, "seed": 0, "prunable": ["w"], "keep": 3}
    runs = by_identity(seeded(0), *(seeded(n, **{changing: about}) for n in range(2)))
    assert [g.width for g in groups_of(runs)] == [1, 1, 1]


@pytest.mark.parametrize("count", [WIDEST, WIDEST + 1, 3 * WIDEST - 1])
def test_large_groups_are_shared_out_evenly(count):
    runs = by_identity(*(seeded(n) for n in range(count)))
    groups = groups_of(runs)
    assert [i for g in groups for i in g.runs] == list(runs)
    widths = [g.width for g in groups]
    assert len(widths) == -(-count // WIDEST)
    assert max(widths) - min(widths) <= 1


def test_a_stack_of_large_networks_is_narrower():
    lenet, vgg = 266_610, 20_000_000
    assert widest(lenet) == WIDEST
    assert widest(vgg) == 12
    assert widest(10**9) == 1
    runs = by_identity(*(seeded(n) for n in range(20)))
    assert [g.width for g in groups_of(runs, widest(vgg))] == [10, 10]
    plan = plan_of("model.hidden=[20000, 5000]", "prune.rounds=1", "controls.one-shot=none")
    assert max(g.width for g in plan.groups) == 2  # 102 million parameters
