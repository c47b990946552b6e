"""Analyses of how weights moved, from a recipe to rows."""

from __future__ import annotations

import pytest
import torch
from measured_pairs import Measured

from winnow.analysis import bimodality_coefficient, valley
from winnow.experiment.train.job import initial_network


def initial_of(node):
    return dict(initial_network(node.run).named_parameters())


def joined(tensors, masks):
    return torch.cat([tensors[name].detach()[keep] for name, keep in masks.items()]).double()


def area(rows, field):
    return sum(row[field] for row in rows) * 0.25


def test_movement_of_kept_weights(tmp_path):
    made = Measured(tmp_path, {"name": "weight_movement", "arms": ["ticket"]})
    assert [found.round for found in made.findings] == [0, 1, 2]
    for found in made.findings:
        node = made.node("ticket", found.round)
        state, initial = made.state(node), initial_of(node)
        keep = state.mask or {
            n: torch.ones_like(initial[n]).bool() for n in initial if "weight" in n
        }
        before, after = joined(initial, keep), joined(state.weights, keep)
        whole = found.whole
        assert whole["kept_count"] == node.weights_kept
        assert whole["kept_absolute"] == pytest.approx(float((after - before).abs().mean()))
        assert whole["kept_outward"] == pytest.approx(float((after.abs() - before.abs()).mean()))
        assert "removed_absolute" not in whole
        layers = [row for row in found.rows if "layer" in row and "bin" not in row]
        assert sum(row["kept_count"] for row in layers) == whole["kept_count"]
        removed = whole["removed_initial"]
        assert removed is None if found.round == 0 else removed < whole["kept_initial"]


def test_histograms_of_surviving_initial_weights(tmp_path):
    made = Measured(tmp_path, {"name": "weight_movement", "arms": ["ticket"],
                               "densities": [50]})  # fmt: skip
    (found,) = made.findings
    state, initial = (of(made.node("ticket", 1)) for of in (made.state, initial_of))
    for name, keep in state.mask.items():
        bars = [row for row in found.rows if row.get("layer") == name and "bin" in row]
        assert len(bars) == 64
        scaled = initial[name].detach().double() / initial[name].detach().double().std(correction=0)
        inside = (scaled[keep] >= 0) & (scaled[keep] < 0.25)
        (bar,) = (row for row in bars if row["bin"] == 0.125)
        assert bar["kept_initial"] == pytest.approx(float(inside.double().mean()) / 0.25)
        assert area(bars, "kept_initial") == pytest.approx(1)
        assert area(bars, "removed_initial") == pytest.approx(1)
    whole = [row for row in found.rows if "bin" in row and "layer" not in row]
    assert [row["bin"] for row in whole] == [row["bin"] for row in bars]
    assert area(whole, "kept_outward") == pytest.approx(1, abs=0.05)


def test_the_modes_of_surviving_initial_weights(tmp_path):
    made = Measured(tmp_path, {"name": "weight_movement", "arms": ["ticket"], "densities": [50]})
    (found,) = made.findings
    state, initial = (of(made.node("ticket", 1)) for of in (made.state, initial_of))
    rows = {row["layer"]: row for row in found.rows if "layer" in row and "bin" not in row}
    for name, keep in state.mask.items():
        kept = initial[name].detach()[keep].double()
        positive = float((kept > 0).double().mean())
        assert rows[name]["kept_initial_positive"] == pytest.approx(positive)
        assert rows[name]["kept_initial_bimodality"] == pytest.approx(bimodality_coefficient(kept))
        bars = [row for row in found.rows if row.get("layer") == name and "bin" in row]
        assert rows[name]["kept_initial_valley"] == pytest.approx(
            valley([bar["kept_initial"] for bar in bars])
        )
    assert 0 < found.whole["kept_initial_valley"] <= 1
    assert "kept_initial_valley" not in bars[0]


def test_movement_of_the_dense_network_by_its_ticket(tmp_path):
    made = Measured(tmp_path, {"name": "movement_by_mask", "arms": ["ticket"], "against": "dense"})
    dense = made.node("ticket", 0)
    weights, initial = made.state(dense).weights, initial_of(dense)
    assert [found.round for found in made.findings] == [1, 2]
    for found in made.findings:
        mask = made.state(made.node("ticket", found.round)).mask
        for side, chosen in (("kept", mask), ("removed", mask.inverted())):
            before, after = joined(initial, chosen), joined(weights, chosen)
            assert found.whole[f"{side}_count"] == len(before)
            moved = float((after - before).abs().mean())
            assert found.whole[f"{side}_absolute"] == pytest.approx(moved)
            assert {f"{side}_change", f"{side}_outward"} <= found.rows[-1].keys()
        assert found.whole["kept_outward"] > found.whole["removed_outward"]


def test_signs_of_kept_weights(tmp_path):
    made = Measured(tmp_path, {"name": "sign_agreement", "arms": ["ticket"]})
    assert [found.round for found in made.findings] == [0, 1, 2]
    for found in made.findings[1:]:
        node = made.node("ticket", found.round)
        state, initial = made.state(node), initial_of(node)
        before, after = joined(initial, state.mask), joined(state.weights, state.mask)
        same = int((before * after > 0).sum())
        assert (found.whole["same"], found.whole["kept"]) == (same, node.weights_kept)
        assert found.whole["agreement"] == pytest.approx(same / node.weights_kept)
        layers = [row for row in found.rows if "layer" in row]
        assert [row["layer"] for row in layers] == list(state.mask)
        assert sum(row["same"] for row in layers) == same
