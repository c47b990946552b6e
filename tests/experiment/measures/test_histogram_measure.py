"""Histograms as an analysis of a plan."""

from __future__ import annotations

import pytest
from measured_plans import findings, layers_of

from winnow.errors import UserError
from winnow.experiment.measures.histograms import HISTOGRAMS, _units

ASKED = {"name": "histograms", "arms": ["ticket"], "examples": 100}


def test_bins_hold_all_kept_weights(tmp_path):
    linear = {**ASKED, "label": "linear", "options": {"unit": "sigma", "bins": "linear",
              "largest": 3.0, "count": 7, "gradient": "batch"}}  # fmt: skip
    found = findings(tmp_path, ASKED, linear)
    for key, bars in (("histograms", 37), ("linear", 7)):
        for finding in found[key].values():
            layers = layers_of(finding)
            assert sum(row["kept"] for row in layers.values()) == finding.whole["kept"]
            for layer in (None, *layers):
                own = [r for r in finding.rows if r.get("layer") == layer and "bin" in r]
                assert len(own) == bars
                assert [row["bin"] for row in own] == sorted(row["bin"] for row in own)
                for quantity in ("w", "g", "wg"):
                    assert sum(row[quantity] for row in own) == pytest.approx(1)
    for finding in found["histograms"].values():
        for key in ("w", "g", "wg"):
            layers = layers_of(finding).values()
            for part in ("zero", "near_zero", "mean_abs"):
                total = sum(row["kept"] * row[f"{key}_{part}"] for row in layers)
                assert finding.whole[f"{key}_{part}"] * finding.whole["kept"] == pytest.approx(
                    total
                )
        assert finding.whole["w_zero"] == 0  # kept weights, not the removed ones
    # pruning by magnitude leaves a hole at zero
    near = {round_: row.whole["w_near_zero"] for round_, row in found["histograms"].items()}
    assert near[0] > 0
    assert near[2] == 0
    # Glorot normal, hardly trained: two thirds within one σ, the middle bin is 3/7 σ wide each side
    bars = [r for r in found["linear"][0].rows if r.get("layer") == "hidden.0.weight"]
    near = sum(row["w"] for row in bars if "bin" in row and abs(row["bin"]) < 1)
    assert near == pytest.approx(0.80, abs=0.06)  # P(|z| < 9/7)
    negative = [row["g"] for row in found["histograms"][0].rows if row.get("bin", 0) < 0]
    assert not any(negative)  # mean absolute gradients


def test_options_that_there_are_not():
    options = {**HISTOGRAMS.options, "bins": "even", "unit": "two"}
    with pytest.raises(UserError, match="unknown kind of bins 'even'"):
        HISTOGRAMS.function([None], (), options)
    with pytest.raises(UserError, match="unknown unit 'two'"):
        _units(None, "two")
