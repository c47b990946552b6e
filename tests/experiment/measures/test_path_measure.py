"""Effective density as an analysis of a plan."""

from __future__ import annotations

from measured_plans import findings, layers_of


def test_effective_density_of_rounds(tmp_path):
    asked = {"name": "effective_density", "arms": ["ticket"]}
    prune = {"rounds": 2, "rate": 0.85}
    found = findings(tmp_path, asked, prune=prune)["effective_density"]
    dense, last = found[0].whole, found[2].whole
    assert dense["effective"] == dense["kept"] == 64 * 20 + 20 * 10 + 10 * 10
    assert (dense["effective_density"], dense["dead_units"], dense["units"]) == (1.0, 0, 40)
    assert last["effective"] < last["kept"]
    assert last["effective_density"] < last["density"]
    assert last["dead_units"] > 0
    layers = layers_of(found[2]).values()
    for field in ("effective", "kept", "dead_units", "units"):
        assert sum(row[field] for row in layers) == last[field]
    assert last["collapsed"] == sum(row["effective"] == 0 for row in layers)
    assert last["disconnected"] == (last["effective"] == 0)
