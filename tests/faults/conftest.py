"""A small recipe for commands as processes, and caches of the module's own."""

from __future__ import annotations

import pytest
from commands import RECIPE


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE)
    return path
