"""Analyses of pairs of networks, from a recipe to rows."""

from __future__ import annotations

import math

import pytest
import torch
from measured_pairs import Measured


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
