"""The identity of the tangent kernel as an analysis of a plan."""

from __future__ import annotations

import pytest
from measured_plans import findings


def test_both_sides_stand_beside_each_other(tmp_path):
    asked = {"name": "ntk_identity", "arms": ["ticket"], "examples": 8, "options": {"top": 3}}
    norm = {"name": "gradient_norm", "arms": ["ticket"], "examples": 8}
    found = findings(tmp_path, asked, norm)
    for round_, finding in found["ntk_identity"].items():
        row = finding.whole
        assert row["by_kernel"] == pytest.approx(row["squared"], rel=1e-9)
        assert row["error"] < 1e-9
        norms = found["gradient_norm"][round_].whole  # no batch norm: the same gradient, in float32
        assert row["squared"] == pytest.approx(norms["squared"], rel=1e-4)
        values = [row[f"eigenvalue_{k}"] for k in (1, 2, 3)]
        assert values == sorted(values, reverse=True)
        assert sum(values) < row["trace"]
        assert 0 < row["top_share"] < 1
        assert "eigenvalue_4" not in row
