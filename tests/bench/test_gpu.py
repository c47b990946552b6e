"""The GPU bench where there is no GPU: what it checks, and what it says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

BENCH = Path(__file__).parents[2] / "bench"
EXACT = ("resumed in the same bits", "zeros exact", "divergence")


@pytest.fixture
def checks(monkeypatch):
    monkeypatch.syspath_prepend(BENCH)
    return runpy.run_path(str(BENCH / "gpu_checks.py"))


@pytest.mark.slow
def test_every_engine_is_checked_and_agrees(checks):
    found = checks["conformance"](torch.device("cpu"), False, lambda: True)
    assert found.pop("left out") == []
    assert len(found) == 8
    for name, seen in found.items():
        assert all(seen[what] for what in EXACT), name
        assert seen["loss off by"] < 1e-4, name
        assert seen["evaluation off by"] < 1e-3, name
        assert seen["weights off by"] < 1e-2, name
        assert seen["notes"] == [], name


def test_what_there_is_no_time_for_is_named(checks):
    found = checks["conformance"](torch.device("cpu"), False, lambda: False)
    assert len(found["left out"]) == 8
    assert len(found) == 1


def test_an_engine_that_differs_is_found_out(checks):
    """The checks can fail: an engine that forgets a step is at another loss and other weights."""
    from winnow.engine.dense import DenseEngine

    class Forgetful(DenseEngine):
        def open(self, job, state):
            session = super().open(job, state)
            session.skip()
            return session

    seen = checks["_one"](Forgetful("cpu"), checks["lenet_job"](small=True))
    assert seen["loss off by"] > 1e-4
    assert seen["weights off by"] > 1e-3
    assert not seen["resumed in the same bits"]


def test_without_a_gpu_it_measures_nothing_and_says_so(monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runpy.run_path(str(BENCH / "gpu.py"))["main"]([]) == 1
    seen = capsys.readouterr()
    assert seen.out == ""
    assert "no GPU here" in seen.err
