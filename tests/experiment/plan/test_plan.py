"""Plans: the graph of runs of each strategy, checked against the paper's numbers and by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import check, load_recipe
from winnow.experiment.runs import Start
from winnow.experiment.store.images import Source

MNIST, CIFAR, DIGITS = Source(60_000, "mnist"), Source(50_000, "cifar"), Source(1437, "digits")
LENET = {"hidden.0.weight": 784 * 300, "hidden.1.weight": 300 * 100, "output.weight": 100 * 10}
SMALL = {
    "data": {"name": "digits", "validation": 237},  # 1,200 examples are left: 24 batches of 50
    "model": {"name": "lenet-300-100", "hidden": [20, 10]},
    "train": {"steps": "100it", "batch": 50, "optimizer": {"name": "sgd", "lr": 0.1}},
    "prune": {"rounds": 3, "rate": 0.5},
    "replicates": 2,
}
SIZES = {"hidden.0.weight": 64 * 20, "hidden.1.weight": 20 * 10, "output.weight": 10 * 10}


def small(source: Source = DIGITS, **changes):
    """The plan of the small recipe with sections changed, e.g. prune={"rewind": "lr"}."""
    written = {
        key: value | changes.pop(key, {}) if isinstance(value, dict) else changes.pop(key, value)
        for key, value in SMALL.items()
    }
    return expand("small", check(written | changes, "small"), source)


def nodes(plan, arm, replicate=0, draw=None):
    found = [n for n in plan.nodes if n.arm == arm and n.replicate == replicate]
    return [n for n in found if draw is None or n.draw == draw]


def kept(node):
    keep = node.run.pruning.keep
    return keep if isinstance(keep, int) else sum(keep.values())


@pytest.fixture(scope="module")
def lenet():
    return expand("lth/lenet-mnist", load_recipe("lth/lenet-mnist"), MNIST)


def test_the_papers_experiment_has_the_papers_runs(lenet):
    assert lenet.arm_names == ["ticket", "reinit", "random", "one-shot"]
    for replicate in range(5):
        assert [n.round for n in nodes(lenet, "ticket", replicate)] == list(range(29))
        for arm, draws in (("reinit", {1, 2, 3}), ("random", {1, 2})):
            assert {n.draw for n in nodes(lenet, arm, replicate)} == draws
            for draw in draws:
                rounds = [n.round for n in nodes(lenet, arm, replicate, draw)]
                assert rounds == list(range(1, 29))
        assert [n.round for n in nodes(lenet, "one-shot", replicate)] == list(range(1, 40))
    assert len(lenet.nodes) == 5 * (29 + 3 * 28 + 2 * 28 + 39)
    # One-shot pruning to 80 %, the output to 90 %, is the first round of the ticket.
    assert nodes(lenet, "one-shot")[7].run == nodes(lenet, "ticket")[1].run
    assert len(lenet.runs) == len(lenet.nodes) - 5
    assert all((run.begin, run.end, run.batch) == (0, 50_000, 60) for run in lenet.runs.values())


def test_densities_of_the_papers_rounds(lenet):
    """Figure 4's axis, and every count by a plain loop over the layers."""
    tickets = nodes(lenet, "ticket", 3)
    left, total = dict(LENET), sum(LENET.values())
    for node in tickets[1:]:
        left = {n: c - round((0.1 if n == "output.weight" else 0.2) * c) for n, c in left.items()}
        assert node.run.pruning.keep == left
        assert node.weights_kept == sum(left.values())
        assert node.density == node.density_total == sum(left.values()) / total
    percent = [round(100 * n.density_total, 1) for n in tickets]
    assert (percent[0], percent[3], percent[7], percent[9]) == (100.0, 51.3, 21.1, 13.5)
    assert (percent[15], percent[28]) == (3.6, 0.2)


def test_densities_of_one_shot_are_those_the_paper_names(lenet):
    grid = [100 * n.density for n in nodes(lenet, "one-shot")]
    for printed, unit in ((95.0, 0.1), (67.5, 0.1), (17.6, 0.1), (5.17, 0.01)):  # cut off there
        assert any(printed <= density < printed + unit for density in grid)
    first = nodes(lenet, "one-shot")[0].run.pruning
    assert first.keep["hidden.0.weight"] == 229_320  # 97.5 %
    assert first.keep["output.weight"] == 988  # 98.75 %, rounded to even


def test_global_pruning_counts_exempt_layers_in_the_total_alone():
    """Papers-checked, section 1: the totals that figure 8 prints, and what is prunable."""
    plan = expand("lth/resnet-20", load_recipe("lth/resnet-20"), CIFAR)
    tickets = nodes(plan, "ticket")
    assert (tickets[0].density, tickets[0].weights_kept) == (1.0, 270_896)
    chosen = [tickets[i] for i in (4, 6, 7, 8, 10)]
    assert [round(100 * n.density_total, 1) for n in chosen] == [41.7, 27.1, 21.9, 17.8, 11.8]
    assert [round(100 * n.density, 1) for n in chosen] == [41.0, 26.2, 21.0, 16.8, 10.7]
    left = 267_696
    for node in tickets[1:]:
        left -= round(0.2 * left)
        assert node.run.pruning.keep == left
        assert node.weights_kept == left + 2_560 + 640
    steps = frozenset({10_000, 20_000, 30_000})
    assert all(n.record.accuracy_at == steps for n in plan.nodes)


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


def test_resetting_trains_each_mask_from_the_initialisation():
    chain = nodes(small(), "ticket")
    assert [kept(n) for n in chain[1:]] == [790, 395, 198]  # 640+100+50, 320+50+25, 160+25+13
    for parent, node in itertools.pairwise(chain):
        assert node.run.pruning.of == parent.run.id
        assert node.run == replace(chain[0].run, pruning=node.run.pruning)
        assert node.run.start == Start("init")


def test_continued_training_has_one_chain_and_its_masks_from_the_initialisation():
    plan = small(prune={"rewind": "none"})
    assert plan.arm_names == ["ticket", "continued"]
    chain = [nodes(plan, "ticket")[0], *nodes(plan, "continued")]
    for round_, (parent, node) in enumerate(itertools.pairwise(chain), 1):
        assert node.run.pruning.of == parent.run.id
        assert node.run.start == Start("final", parent.run.id)
        assert (node.run.begin, node.run.end) == (100 * round_, 100 * round_ + 100)
        ticket = nodes(plan, "ticket")[round_].run
        assert ticket == replace(chain[0].run, pruning=node.run.pruning)
    assert len(plan.runs) == 2 * (1 + 3 + 3)


@pytest.mark.parametrize(("written", "step"), [("30it", 30), ("2ep", 48), ("1.5ep", 36)])
def test_rewinding_starts_from_a_state_that_the_dense_run_records(written, step):
    plan = small(prune={"rewind": written}, controls={"reinit": 1, "random": 1, "one-shot": [0.1]})
    dense = nodes(plan, "ticket")[0]
    assert plan.records[dense.run.id].states == {step}
    rewound = [*nodes(plan, "ticket")[1:], *nodes(plan, "random"), *nodes(plan, "one-shot")]
    for node in rewound:
        assert node.run.start == Start("state", dense.run.id, step)
        assert (node.run.begin, node.run.end, node.run.steps) == (step, 100, 100)
        assert plan.records[node.run.id].states == frozenset()
    for node in nodes(plan, "reinit"):  # new weights have no step k: from their start
        assert (node.run.start, node.run.begin, node.run.draw) == (Start("init"), 0, 1)


def test_learning_rate_rewinding_keeps_the_weights_and_trains_the_whole_schedule():
    chain = nodes(small(prune={"rewind": "lr"}), "ticket")
    for parent, node in itertools.pairwise(chain):
        assert node.run.start == Start("final", parent.run.id)
        assert (node.run.begin, node.run.end) == (0, 100)


def test_one_shot_pruning_is_from_the_dense_network():
    densities = [0.5, 0.1, 0.02]
    plan = small(prune={"algorithm": "one-shot", "scope": "global", "densities": densities})
    dense, *pruned = nodes(plan, "ticket")
    assert [n.run.pruning.keep for n in pruned] == [round(d * 1580) for d in densities]
    assert {n.run.pruning.of for n in pruned} == {dense.run.id}
    layered = nodes(small(prune={"algorithm": "one-shot", "densities": [0.5]}), "ticket")[1]
    assert layered.run.pruning.keep == {name: size // 2 for name, size in SIZES.items()}
    rounds = nodes(small(prune={"algorithm": "one-shot", "densities": "rounds"}), "ticket")
    walked = nodes(small(), "ticket")
    assert [kept(n) for n in rounds[1:]] == [kept(n) for n in walked[1:]]
    assert rounds[1].run == walked[1].run
    assert rounds[2].run != walked[2].run
    assert len(nodes(small(prune={"algorithm": "one-shot", "densities": "paper"}), "ticket")) == 40


def test_controls_share_mask_counts_and_data_order_with_their_ticket():
    asked = {"reinit": 2, "random": 2, "random-reinit": 1, "one-shot": [0.1], "one-shot-reinit": 1}
    plan = small(controls=asked)
    for ticket in nodes(plan, "ticket", 1)[1:]:
        for arm in ("reinit", "random", "random-reinit"):
            for node in [n for n in nodes(plan, arm, 1) if n.round == ticket.round]:
                assert node.run.seeds == ticket.run.seeds
                assert node.density == ticket.density
                assert node.run.draw == (0 if arm == "random" else node.draw)
                shuffle = None if arm == "reinit" else node.draw
                assert node.run.pruning == replace(ticket.run.pruning, shuffle=shuffle)
    (once,), (again,) = nodes(plan, "one-shot", 1), nodes(plan, "one-shot-reinit", 1)
    assert again.run == replace(once.run, draw=1)
    assert len(plan.runs) == len(plan.nodes)


def test_recipes_that_need_the_same_training_share_it(lenet):
    continued = expand("lth/lenet-continued", load_recipe("lth/lenet-continued"), MNIST)
    for replicate in range(5):
        one, other = nodes(lenet, "ticket", replicate), nodes(continued, "ticket", replicate)
        shared = [a.run.id == b.run.id for a, b in zip(one, other, strict=False)]
        assert shared == [True, True, *[False] * 26]  # the first mask is the same, too
    other_images = expand("x", load_recipe("lth/lenet-mnist"), Source(60_000, "others"))
    assert not other_images.runs.keys() & lenet.runs.keys()


def test_only_some_arms_and_all_that_they_need(lenet):
    reinit = lenet.only(["reinit"])
    assert reinit.arm_names == ["ticket", "reinit"]
    assert [n.round for n in nodes(reinit, "ticket")] == list(range(28))  # the last gives no mask
    assert len(reinit.runs) == 5 * (28 + 3 * 28)
    once = lenet.only(["one-shot"])
    assert [n.round for n in nodes(once, "ticket")] == [0, 1]  # round 1: the same run as the eighth
    assert len(once.runs) == 5 * (1 + 39)
    for part in (reinit, once):
        assert all(parent in part.runs for run in part.runs.values() for parent in run.parents)
    continued = small(prune={"rewind": "none"}).only(["ticket"])
    assert continued.arm_names == ["ticket", "continued"]
    with pytest.raises(UserError, match=r"'tiket'. Did you mean 'ticket'\? This recipe has ticket"):
        lenet.only(["tiket"])


def test_a_chain_stops_when_a_round_would_remove_nothing():
    plan = small(prune={"rounds": 200, "rate": 0.2})
    last = nodes(plan, "ticket")[-1]
    assert last.round < 60
    assert set(last.run.pruning.keep.values()) == {2}  # round(0.2 · 2) = 0
    assert nodes(small(prune={"rounds": 0}), "ticket")[-1].round == 0


def test_seeds_are_fixed_or_go_by_replicate():
    plan = small(replicates=3, seeds={"init": 7, "mask": 9}, controls={"random": 1})
    dense = [nodes(plan, "ticket", r)[0].run.seeds for r in range(3)]
    assert dense == [{"init": 7, "order": r, "split": r} for r in range(3)]
    assert {n.run.pruning.seed for n in plan.nodes if n.run.pruning} == {9}
    fixed = small(seeds=dict.fromkeys(("init", "order", "split", "mask"), 1))
    assert len(fixed.nodes) == 2 * len(fixed.runs)  # two replicates of the same runs


def test_seeds_that_nothing_draws_from_are_no_part_of_a_run():
    bare = small(data={"validation": 0}, seeds={"split": 3, "augment": 3, "dropout": 3})
    assert nodes(bare, "ticket")[0].run.seeds == {"init": 0, "order": 0}
    used = expand(
        "used",
        load_recipe("lth/conv-2", ["model.dropout=0.5", "data.augment=flip-crop"], 1),
        CIFAR,
    )
    everything = {"init", "order", "split", "augment", "dropout"}
    assert used.nodes[0].run.seeds == dict.fromkeys(everything, 0)


def test_a_part_of_the_data_makes_shorter_epochs_and_other_runs():
    whole, part = small(), small(data={"train": 410}, train={"steps": "2ep"})
    run = part.nodes[0].run
    assert run.steps == 2 * 9  # 410 = 8 · 50 + 10
    assert run.data == whole.nodes[0].run.data | {"train": 410}
    same = replace(whole.nodes[0].run, data=run.data)
    assert same.id != whole.nodes[0].run.id
    alone = small(data={"validation": 0, "train": 410}).nodes[0].run
    assert alone.seeds == {"init": 0, "order": 0, "split": 0}
    assert small(data={"train": 1200}).nodes[0].run.steps == 100


def test_epochs_become_iterations():
    train = {"steps": "3ep", "evaluate": "0.5ep", "accuracy_at": ["1ep", "50it"]}
    node = nodes(small(train=train), "ticket")[0]
    assert (node.run.steps, node.run.evaluate) == (72, 12)
    assert node.record.accuracy_at == {24, 50}
    few = {"steps": "3ep", "evaluate": "1it", "batch": 500}
    dropped = small(train=few | {"last_batch": "drop"}).nodes[0].run
    assert dropped.steps == 3 * 2  # 1,200 = 2 · 500 + 200
    assert small(train=few | {"last_batch": "keep"}).nodes[0].run.steps == 3 * 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data": {"validation": 1437}}, "data.validation is 1437: digits has 1437 examples"),
        (
            {"data": {"train": 1201}},
            "data.train is 1201: digits has 1437 examples for",
        ),
        ({"prune": {"rewind": "100it"}}, "prune.rewind is 100it, iteration 100, but training ends"),
        ({"prune": {"rewind": "5ep"}}, "prune.rewind is 5ep, iteration 120"),
        ({"train": {"accuracy_at": ["101it"]}}, "names iteration 101: training has iterations 1"),
        ({"train": {"accuracy_at": ["0it"]}}, "names iteration 0"),
        ({"train": {"steps": "0it"}}, "train.steps is 0it, 0 iterations: at least 1 is needed"),
        ({"train": {"evaluate": "0.001ep"}}, "train.evaluate is 0.001ep, 0 iterations"),
        ({"prune": {"ignore": ["*"]}}, "prune.ignore exempts every layer of lenet-300-100"),
        ({"prune": {"ignore": ["outptu"]}}, "unknown parameter 'outptu'"),
        ({"prune": {"rates": {"hiden.0.weight": 0.1}}}, "Did you mean 'hidden.0.weight'?"),
        ({"prune": {"criterion": "magnitud"}}, "unknown criterion 'magnitud'. Did you mean"),
        ({"model": {"name": "lenet-300"}}, "'lenet-300'. Did you mean 'lenet-300-100'?"),
        ({"model": {"width": 2.0}}, "lenet-300-100 does not take the option width"),
        ({"data": {"name": "digit"}}, "unknown dataset 'digit'. Did you mean 'digits'?"),
        (
            {"prune": {"rewind": "none"}, "train": {"schedule": {"name": "cosine"}}},
            "cosine ends at 0",
        ),
    ],
)
def test_what_does_not_fit_together_is_told_before_anything_trains(changes, told):
    with pytest.raises(UserError) as caught:
        small(**changes)
    assert told in str(caught.value)
