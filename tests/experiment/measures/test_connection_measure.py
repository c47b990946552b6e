"""Connectivity as an analysis of a plan."""

from __future__ import annotations

import pytest
from measured_plans import findings, layers_of

SIZES = {"hidden.0.weight": (20, 64), "hidden.1.weight": (10, 20), "output.weight": (10, 10)}


def test_connections_add_up_to_the_kept_weights(tmp_path):
    asked = {"name": "connectivity", "arms": ["ticket"], "options": {"bins": 5}}
    found = findings(tmp_path, asked, {"name": "layer_densities", "arms": ["ticket"]})
    for round_, finding in found["connectivity"].items():
        kept = {n: row["kept"] for n, row in layers_of(found["layer_densities"][round_]).items()}
        layers = layers_of(finding)
        for name, row in layers.items():
            outputs, inputs = SIZES[name]
            assert (row["incoming_units"], row["outgoing_units"]) == (outputs, inputs)
            assert row["incoming_mean"] * outputs == pytest.approx(kept[name])
            assert row["outgoing_mean"] * inputs == pytest.approx(kept[name])
            assert row["outgoing_possible"] == outputs
            for side in ("incoming", "outgoing"):  # Popoviciu: at most half of the range
                widest = (row[f"{side}_share_max"] - row[f"{side}_share_min"]) / 2
                assert 0 <= row[f"{side}_spread"] <= widest + 1e-12
            bins = [r for r in finding.rows if r.get("layer") == name and "bin" in r]
            assert [row["bin"] for row in bins] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
            assert sum(row["incoming"] for row in bins) == pytest.approx(1)
            assert sum(row["outgoing"] for row in bins) == pytest.approx(1)
        for side in ("incoming", "outgoing"):
            dead = [row[f"{side}_dead"] for row in layers.values()]
            assert finding.whole[f"{side}_dead"] == sum(dead)
            lowest = min(row[f"{side}_min"] / row[f"{side}_possible"] for row in layers.values())
            assert finding.whole[f"{side}_share_min"] == pytest.approx(lowest)
    whole = found["connectivity"][0].whole
    assert (whole["incoming_share_min"], whole["outgoing_share_max"]) == (1.0, 1.0)
    assert found["connectivity"][2].whole["incoming_share_min"] < 0.25
    assert layers_of(found["connectivity"][0])["hidden.0.weight"]["outgoing_spread"] == 0.0
    assert layers_of(found["connectivity"][2])["hidden.0.weight"]["outgoing_spread"] > 0.05
