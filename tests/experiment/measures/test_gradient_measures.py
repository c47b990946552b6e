"""Norms of gradients as analyses of a plan."""

from __future__ import annotations

import pytest
from measured_plans import findings, layers_of


def test_norms_and_their_ratio_to_dense(tmp_path):
    one = {"name": "gradient_norm", "arms": ["ticket"], "examples": 300}
    two = {"name": "gradient_norm_ratio", "arms": ["ticket"], "against": "dense", "examples": 300}
    found = findings(tmp_path, one, {**two, "options": {"norms": "running"}})
    norms, ratios = found["gradient_norm"], found["gradient_norm_ratio"]
    assert set(norms) == {0, 1, 2}
    assert set(ratios) == {1, 2}
    for round_, ratio in ratios.items():
        ours, dense = norms[round_].whole, norms[0].whole
        assert ratio.whole["ratio"] == pytest.approx(ours["squared"] / dense["squared"])
        assert ratio.whole["norm_ratio"] == pytest.approx(ours["norm"] / dense["norm"])
        layers = layers_of(norms[round_])
        assert sum(row["squared"] for row in layers.values()) == pytest.approx(ours["squared"])
        assert sum(row["share"] for row in layers.values()) == pytest.approx(1)
        for name, row in layers_of(ratio).items():
            assert row["squared"] == pytest.approx(layers[name]["squared"])
