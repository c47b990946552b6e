"""Analyses of masks, from a recipe to rows."""

from __future__ import annotations

import pytest
from measured_pairs import Measured

OVERLAP = {"name": "overlap", "arms": ["ticket"], "against": "random"}


def test_overlap_of_tickets_and_random_masks(tmp_path):
    made = Measured(tmp_path, OVERLAP, controls={"random": 1})
    assert [found.round for found in made.findings] == [1, 2]
    for found in made.findings:
        masks = [made.state(made.node(arm, found.round)).mask for arm in ("ticket", "random")]
        first, second = masks
        assert found.whole["agreement"] == pytest.approx(first.agreement(second))
        assert found.whole["kept_both"] == (first & second).kept
        layers = {row["layer"]: row for row in found.rows if "layer" in row}
        assert list(layers) == list(first)
        assert sum(row["kept_both"] for row in layers.values()) == found.whole["kept_both"]
        assert abs(found.whole["agreement"] - found.whole["agreement_chance"]) < 0.1
        assert 0 < found.whole["jaccard_chance"] < found.whole["agreement_chance"]


def test_densities_of_layers(tmp_path):
    made = Measured(tmp_path, {"name": "layer_densities", "arms": ["ticket"]})
    assert [found.round for found in made.findings] == [0, 1, 2]
    assert all(row["density"] == 1 for row in made.findings[0].rows)
    for found in made.findings[1:]:
        mask = made.state(made.node("ticket", found.round)).mask
        assert found.whole == {"density": mask.density, "kept": mask.kept, "collapsed": 0}
        assert list(found.rows[1:]) == [
            {"layer": name, "density": density, "kept": int(mask[name].sum()),
             "ratio": density / mask.density}
            for name, density in mask.densities.items()
        ]  # fmt: skip
