"""Rounds of pruning: runs of each strategy, checked against the paper's numbers and by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from sample_plans import SIZES, points_of, small

from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.runs import Start
from winnow.experiment.store.images import Source

MNIST, CIFAR = Source(60_000, "mnist"), Source(50_000, "cifar")
LENET = {"hidden.0.weight": 784 * 300, "hidden.1.weight": 300 * 100, "output.weight": 100 * 10}


def kept(node):
    keep = node.run.pruning.keep
    return keep if isinstance(keep, int) else sum(keep.values())


@pytest.fixture(scope="module")
def lenet():
    return expand("lth/4", load_recipe("lth/4"), MNIST)


def test_the_papers_experiment_has_the_papers_runs(lenet):
    assert lenet.arm_names == ["ticket", "reinit", "random", "one-shot", "one-shot-reinit"]
    for replicate in range(5):
        assert [n.round for n in points_of(lenet, "ticket", replicate)] == list(range(29))
        for arm, draws in (("reinit", {1, 2, 3}), ("random", {1, 2})):
            assert {n.draw for n in points_of(lenet, arm, replicate)} == draws
            for draw in draws:
                rounds = [n.round for n in points_of(lenet, arm, replicate, draw)]
                assert rounds == list(range(1, 29))
        assert [n.round for n in points_of(lenet, "one-shot", replicate)] == list(range(1, 40))
    assert {n.draw for n in points_of(lenet, "one-shot-reinit", 0)} == {1, 2, 3}
    assert len(lenet.nodes) == 5 * (29 + 3 * 28 + 2 * 28 + 39 + 3 * 39)
    # One-shot pruning to 80 %, the output to 90 %, is the first round of the ticket.
    assert points_of(lenet, "one-shot")[7].run == points_of(lenet, "ticket")[1].run
    # and reinitialised it is the same, too
    assert len(lenet.runs) == len(lenet.nodes) - 5 * (1 + 3)
    assert all((run.begin, run.end, run.batch) == (0, 50_000, 60) for run in lenet.runs.values())


def test_densities_of_the_papers_rounds(lenet):
    """Figure 4's axis, and every count by a plain loop over the layers."""
    tickets = points_of(lenet, "ticket", 3)
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
    grid = [100 * n.density for n in points_of(lenet, "one-shot")]
    for printed, unit in ((95.0, 0.1), (67.5, 0.1), (17.6, 0.1), (5.17, 0.01)):  # cut off there
        assert any(printed <= density < printed + unit for density in grid)
    first = points_of(lenet, "one-shot")[0].run.pruning
    assert first.keep["hidden.0.weight"] == 229_320  # 97.5 %
    assert first.keep["output.weight"] == 988  # 98.75 %, rounded to even


def test_global_pruning_counts_exempt_layers_in_the_total_alone():
    """Papers-checked, section 1: the totals that figure 8 prints, and what is prunable."""
    plan = expand("lth/resnet-20", load_recipe("lth/resnet-20"), CIFAR)
    tickets = points_of(plan, "ticket")
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


def test_resetting_trains_each_mask_from_the_initialisation():
    chain = points_of(small(), "ticket")
    assert [kept(n) for n in chain[1:]] == [790, 395, 198]  # 640+100+50, 320+50+25, 160+25+13
    for parent, node in itertools.pairwise(chain):
        assert node.run.pruning.of == parent.run.id
        assert node.run == replace(chain[0].run, pruning=node.run.pruning)
        assert node.run.start == Start("init")


def test_continued_training_has_one_chain_and_its_masks_from_the_initialisation():
    plan = small(prune={"rewind": "none"})
    assert plan.arm_names == ["ticket", "continued"]
    chain = [points_of(plan, "ticket")[0], *points_of(plan, "continued")]
    for round_, (parent, node) in enumerate(itertools.pairwise(chain), 1):
        assert node.run.pruning.of == parent.run.id
        assert node.run.start == Start("final", parent.run.id)
        assert (node.run.begin, node.run.end) == (100 * round_, 100 * round_ + 100)
        ticket = points_of(plan, "ticket")[round_].run
        assert ticket == replace(chain[0].run, pruning=node.run.pruning)
    assert len(plan.runs) == 2 * (1 + 3 + 3)


@pytest.mark.parametrize(("written", "step"), [("30it", 30), ("2ep", 48), ("1.5ep", 36)])
def test_rewinding_starts_from_a_state_that_the_dense_run_records(written, step):
    plan = small(prune={"rewind": written}, controls={"reinit": 1, "random": 1, "one-shot": [0.1]})
    dense = points_of(plan, "ticket")[0]
    assert plan.records[dense.run.id].states == {step}
    rewound = [
        *points_of(plan, "ticket")[1:],
        *points_of(plan, "random"),
        *points_of(plan, "one-shot"),
    ]
    for node in rewound:
        assert node.run.start == Start("state", dense.run.id, step)
        assert (node.run.begin, node.run.end, node.run.steps) == (step, 100, 100)
        assert plan.records[node.run.id].states == frozenset()
    for node in points_of(plan, "reinit"):  # new weights have no step k: from their start
        assert (node.run.start, node.run.begin, node.run.draw) == (Start("init"), 0, 1)


def test_learning_rate_rewinding_keeps_the_weights_and_trains_the_whole_schedule():
    chain = points_of(small(prune={"rewind": "lr"}), "ticket")
    for parent, node in itertools.pairwise(chain):
        assert node.run.start == Start("final", parent.run.id)
        assert (node.run.begin, node.run.end) == (0, 100)


def test_one_shot_pruning_is_from_the_dense_network():
    densities = [0.5, 0.1, 0.02]
    plan = small(prune={"algorithm": "one-shot", "scope": "global", "densities": densities})
    dense, *pruned = points_of(plan, "ticket")
    assert [n.run.pruning.keep for n in pruned] == [round(d * 1580) for d in densities]
    assert {n.run.pruning.of for n in pruned} == {dense.run.id}
    layered = points_of(small(prune={"algorithm": "one-shot", "densities": [0.5]}), "ticket")[1]
    assert layered.run.pruning.keep == {name: size // 2 for name, size in SIZES.items()}
    rounds = points_of(small(prune={"algorithm": "one-shot", "densities": "rounds"}), "ticket")
    walked = points_of(small(), "ticket")
    assert [kept(n) for n in rounds[1:]] == [kept(n) for n in walked[1:]]
    assert rounds[1].run == walked[1].run
    assert rounds[2].run != walked[2].run
    assert (
        len(points_of(small(prune={"algorithm": "one-shot", "densities": "paper"}), "ticket")) == 40
    )


def test_controls_share_mask_counts_and_data_order_with_their_ticket():
    asked = {"reinit": 2, "random": 2, "random-reinit": 1, "one-shot": [0.1], "one-shot-reinit": 1}
    plan = small(controls=asked)
    for ticket in points_of(plan, "ticket", 1)[1:]:
        for arm in ("reinit", "random", "random-reinit"):
            for node in [n for n in points_of(plan, arm, 1) if n.round == ticket.round]:
                assert node.run.seeds == ticket.run.seeds
                assert node.density == ticket.density
                assert node.run.draw == (0 if arm == "random" else node.draw)
                shuffle = None if arm == "reinit" else node.draw
                assert node.run.pruning == replace(ticket.run.pruning, shuffle=shuffle)
    places = [(arm, k) for arm in ("reinit", "random") for k in (1, 2)]
    places += [("random-reinit", 1), ("ticket", 0)]
    for arm, draw in places:
        assert [n.round for n in points_of(plan, arm, 1, draw)][-3:] == [1, 2, 3]
    (once,), (again,) = points_of(plan, "one-shot", 1), points_of(plan, "one-shot-reinit", 1)
    assert again.run == replace(once.run, draw=1)
    assert len(plan.runs) == len(plan.nodes)


def test_a_chain_stops_when_a_round_would_remove_nothing():
    plan = small(prune={"rounds": 200, "rate": 0.2})
    last = points_of(plan, "ticket")[-1]
    assert last.round < 60
    assert set(last.run.pruning.keep.values()) == {2}  # round(0.2 · 2) = 0
    assert points_of(small(prune={"rounds": 0}), "ticket")[-1].round == 0


def test_layers_keep_what_prune_least_says_or_it_is_refused():
    least = [n.run.pruning.least for n in points_of(small(prune={"least": 13}), "ticket")[1:]]
    assert least == [13, 13, 13]  # the output layer is left 13 of its 100 weights
    with pytest.raises(UserError, match=r"prune\.least is 14, but output\.weight is to keep 13"):
        small(prune={"least": 14})


def test_only_rounds_that_follow_one_another_must_train_in_between():
    early = {"train": "20it", "rewind": "20it"}
    once = small(prune={**early, "algorithm": "one-shot", "densities": [0.5, 0.1]})
    assert [n.run.pruning.step for n in points_of(once, "ticket")[1:]] == [20, 20]
    with pytest.raises(UserError, match="pruned again before they have trained"):
        small(prune=early)
    assert len(points_of(small(prune={**early, "rounds": 1}), "ticket")) == 2


def test_controls_of_the_order_of_the_ticket_s_own_weights_and_of_early_pruning():
    asked = {"order": 2, "reinit-masked": 1, "permuted": 2, "noise": [0.5, 2], "at-init": True}
    plan = small(controls=asked)
    names = ["ticket", "reinit-masked", "permuted", "order", "at-init", "noise-0.5", "noise-2"]
    assert plan.arm_names == names
    assert [arm.level for arm in plan.arms][-2:] == [0.5, 2.0]
    for ticket in points_of(plan, "ticket", 1)[1:]:
        own = {
            (n.arm, n.draw): n for n in plan.nodes if n.replicate == 1 and n.round == ticket.round
        }
        run, start = ticket.run, ticket.run.start
        assert own["reinit-masked", 1].run == replace(
            run, start=replace(start, redrawn="survivors", draw=1)
        )
        assert own["permuted", 2].run == replace(
            run, start=replace(start, redrawn="permuted", draw=2)
        )
        assert own["noise-0.5", 1].run == replace(run, start=replace(start, noise=0.5, draw=1))
        early = own["at-init", 1].run
        assert (early.pruning.of, early.pruning.keep) == (None, run.pruning.keep)
        assert (early.start, early.draw, early.seeds) == (Start("init"), 0, run.seeds)
        others = [own["order", draw].run for draw in (1, 2)]
        assert len({r.seeds["order"] for r in (run, *others)}) == 3
        for other in others:
            assert replace(other, seeds=run.seeds) == run, "only the order differs"
        assert {n.density for n in own.values()} == {ticket.density}


def test_random_networks_have_the_orders_of_their_ticket():
    asked = {"random": 2, "order": 2, "random-order": 3}
    plan = small(prune={"rewind": "20it"}, controls=asked)
    for ticket in points_of(plan, "ticket", 1)[1:]:
        own = {
            (n.arm, n.draw): n.run
            for n in plan.nodes
            if (n.replicate, n.round) == (1, ticket.round)
        }
        orders = {own["random-order", draw].seeds["order"] for draw in (1, 2, 3)}
        assert len(orders | {ticket.run.seeds["order"]}) == 4
        for draw in (1, 2):
            again = own["random-order", draw]
            assert again.seeds == own["order", draw].seeds
            assert replace(again, seeds=ticket.run.seeds) == own["random", 1]
    arms = {arm.name: arm for arm in plan.arms}
    assert (arms["random-order"].of, arms["random-order"].is_control) == ("ticket", True)


def test_other_orders_at_some_densities():
    def rounds(densities, **changes):
        asked = {"random": 1, "order": 2, "random-order": 1, "order-densities": densities}
        plan = small(controls=asked, **changes)
        found = {arm: {n.round for n in points_of(plan, arm)} for arm in ("order", "random-order")}
        assert found["order"] == found["random-order"]
        assert {n.round for n in points_of(plan, "random")} == whole
        return found["order"]

    plan = small()
    density = {n.round: n.density for n in points_of(plan, "ticket")}
    whole = set(density) - {0}
    last = max(whole)
    assert rounds([]) == whole
    assert rounds([density[1]]) == {1}
    assert rounds([0.001, density[1] * 0.99]) == {1, last}
    middle = (density[1] * density[2]) ** 0.5  # nearest in log density
    assert rounds([middle * 1.001]) == {1}
    assert rounds([middle * 0.999]) == {2}


def test_controls_of_rewound_tickets_start_where_these_do():
    plan = small(prune={"rewind": "20it"}, controls={"noise": [1], "order": 1, "permuted": 1})
    ticket = points_of(plan, "ticket", 1)[-1].run
    for arm in ("noise-1", "order", "permuted"):
        run = points_of(plan, arm, 1)[-1].run
        assert (run.begin, run.start.run, run.start.step) == (20, ticket.start.run, 20)


def test_a_level_of_noise_is_named_once():
    with pytest.raises(UserError, match="names a level twice"):
        small(controls={"noise": [1, 1.0]})
