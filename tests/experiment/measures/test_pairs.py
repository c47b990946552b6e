"""Analyses of pairs of networks, from a recipe to rows."""

from __future__ import annotations

import math

import pytest
import torch
from measured_pairs import Measured

from winnow.engine.evaluation import evaluate
from winnow.engine.feed import Feed
from winnow.errors import UserError
from winnow.experiment.train.job import make_job


def test_stability_to_pruning(tmp_path):
    made = Measured(tmp_path, {"name": "stability", "arms": ["ticket"], "against": "dense"})
    assert [found.round for found in made.findings] == [1, 2]
    dense = made.state(made.node("ticket", 0)).weights
    for found in made.findings:
        state = made.state(made.node("ticket", found.round))
        u, v = (
            torch.cat([(w[n].double() * state.mask[n]).flatten() for n in state.mask])
            for w in (state.weights, dense)
        )
        assert found.whole["distance"] == pytest.approx(float((u - v).norm()))
        angle = math.degrees(math.acos(float(u @ v / u.norm() / v.norm())))
        assert found.whole["angle"] == pytest.approx(angle)
        layers = [row for row in found.rows if "layer" in row]
        assert [row["layer"] for row in layers] == list(state.mask)
        total = math.hypot(*(row["distance"] for row in layers))
        assert total == pytest.approx(found.whole["distance"])


def test_stability_to_data_order(tmp_path):
    pairs = {"name": "stability", "arms": ["order"], "pairs": True}
    made = Measured(tmp_path, pairs, controls={"order": 3})
    assert len(made.findings) == 2 * 3  # rounds, pairs of three
    nodes = [n for n in made.plan.nodes if (n.arm, n.round) == ("order", 1)]
    one, other = made.state(nodes[0]), made.state(nodes[1])
    assert one.mask == other.mask
    expected = sum(float((one.weights[n] - other.weights[n]).square().sum()) for n in one.mask)
    first = next(found for found in made.findings if (found.round, found.draw) == (1, 0))
    assert first.whole["distance"] == pytest.approx(math.sqrt(expected), rel=1e-5)
    assert first.whole["distance"] > 0


def test_the_barrier_between_a_ticket_and_the_dense_network(tmp_path):
    made = Measured(
        tmp_path,
        {"name": "barrier", "arms": ["ticket"], "against": "dense", "split": "test",
         "options": {"points": 3}},
    )  # fmt: skip
    assert [found.round for found in made.findings] == [1, 2]
    dense = made.node("ticket", 0)
    for found in made.findings:
        node = made.node("ticket", found.round)
        first, middle, last = (row for row in found.rows if "bin" in row)
        assert [row["bin"] for row in (first, middle, last)] == [0, 0.5, 1]
        for row, end in ((first, node), (last, dense)):
            final = made.store.find(end.run).result
            assert 1 - row["error"] == pytest.approx(final.final["test"])
            assert row["loss"] == pytest.approx(final.final_loss["test"], rel=1e-5)
        job = make_job(node.run)
        model = job.build()
        one, other = (made.state(end).weights for end in (node, dense))
        model.load_state_dict({name: (one[name] + other[name]) / 2 for name in one})
        half = evaluate(model, Feed(job, torch.device("cpu")), "test")
        assert middle["error"] == pytest.approx(1 - half.accuracy)
        assert middle["loss"] == pytest.approx(half.loss, rel=1e-5)
        losses = [row["loss"] for row in (first, middle, last)]
        ends = (losses[0] + losses[2]) / 2
        assert found.whole["loss_of_ends"] == pytest.approx(ends)
        assert found.whole["loss_barrier"] == pytest.approx(max(losses) - ends)


def test_points_of_a_line_are_a_whole_number(tmp_path):
    barrier = {"name": "barrier", "arms": ["ticket"], "against": "dense"}
    for points in (2.5, True):
        with pytest.raises(UserError, match=f"whole number of at least 2, not {points}"):
            Measured(tmp_path / str(points), {**barrier, "options": {"points": points}})


def test_pairs_of_the_same_arm_only(tmp_path):
    pairs = {"name": "stability", "arms": ["order", "random-order"], "pairs": "arm"}
    controls = {"order": 3, "random": 1, "random-order": 2, "order-densities": [0.5]}
    made = Measured(tmp_path, pairs, controls=controls)
    found = [(one.arm, one.against, one.draw, one.round) for one in made.findings]
    assert found == [("order", "order", draw, 1) for draw in range(3)] + [
        ("random-order", "random-order", 0, 1)
    ]
    nodes = [n for n in made.plan.nodes if n.arm == "random-order"]
    one, other = (made.state(node) for node in nodes)
    assert one.mask == other.mask == made.state(made.node("random", 1)).mask
    assert one.mask != made.state(made.node("ticket", 1)).mask
    expected = sum(float((one.weights[n] - other.weights[n]).square().sum()) for n in one.mask)
    assert made.findings[-1].whole["distance"] == pytest.approx(math.sqrt(expected), rel=1e-5)
