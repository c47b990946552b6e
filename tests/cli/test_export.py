"""``winnow export``: tables that reports and claims read like a store."""

from __future__ import annotations

import pytest
from command_line import refused, winnow

pytestmark = pytest.mark.usefixtures("own_environment")


def test_a_report_of_tables_is_that_of_the_store(recipe, store, tmp_path):
    out = tmp_path / "tables"
    code, told, err = winnow("export", recipe, "--store", store, "--out", out)
    assert (code, told, err) == (0, f"table: {out / 'small.parquet'}\n", "")
    for place, name in ((store, "a"), (out, "b")):
        assert winnow("report", recipe, "--store", place, "--out", tmp_path / name).code == 0
    rows = [(tmp_path / name / "rows.csv").read_text() for name in ("a", "b")]
    assert rows[0] == rows[1]
    assert "3 runs done, 0 missing" in winnow("plan", recipe, "--store", out).out


def test_what_is_not_finished_is_told(recipe, store, tmp_path):
    refused(
        winnow("export", recipe, "--store", tmp_path / "none", "--out", tmp_path / "t"),
        "nothing of ",
    )
    assert not (tmp_path / "t").exists()
    answer = winnow(
        "export", recipe, "--store", store, "--out", tmp_path / "t", "-o", "prune.rounds=2"
    )
    assert answer.code == 0
    assert "2 runs of" in answer.err
