"""``winnow doctor``."""

from __future__ import annotations

import pytest
import torch
from command_line import winnow

pytestmark = pytest.mark.usefixtures("own_environment")


def test_doctor_tells_versions_cores_names_data_and_store(store, tmp_path):
    code, out, err = winnow("doctor", "--store", store)
    assert (code, err) == (0, "")
    told = {line.split()[0] for line in out.splitlines()}
    assert {"python", "torch", "cores", "criteria", "networks", "engines", "store"} <= told
    assert f"torch        {torch.__version__}" in out
    assert "digits: found: 1437 + 360 images" in out
    assert "mnist: not here" in out
    assert f"{store}: 3 finished runs, writable" in out
    winnow("doctor", "--store", tmp_path)
    assert list(tmp_path.iterdir()) == []  # looking makes nothing
