"""``winnow plan``."""

from __future__ import annotations

import pytest
from command_line import folders, winnow

pytestmark = pytest.mark.usefixtures("own_environment")


def test_plan_tells_what_is_done(recipe, store):
    code, out, err = winnow("plan", recipe, "--store", store)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["arm", "ticket", "reinit"]
    assert not any(folder in out for folder in folders(store))
    whole = winnow("plan", recipe, "--store", store, "--runs").out
    rows = [line for line in whole.splitlines() if line.endswith("  done")]
    assert sorted(row.split()[0] for row in rows) == folders(store)
    assert set(out.splitlines()) < set(whole.splitlines())
    assert "3 runs, 60 iterations; 3 runs done, 0 missing" in out
    more = winnow("plan", recipe, "--store", store, "--replicates", 2, "--only", "ticket").out
    assert "4 runs, 80 iterations; 2 runs done, 2 missing" in more
    assert "time left: about 0 s with --jobs" in more


def test_plan_makes_no_store(recipe, tmp_path):
    assert winnow("plan", recipe, "--store", tmp_path / "none").code == 0
    assert not (tmp_path / "none").exists()
