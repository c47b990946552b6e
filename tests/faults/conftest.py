"""A small recipe for commands as processes, and caches of the module's own."""

from __future__ import annotations

import pytest

RECIPE = """
title: small
source: a test
data: {name: digits, validation: 100}
model: {name: lenet-300-100, hidden: [9, 5]}
train: {steps: 60it, batch: 50, optimizer: {name: adam, lr: 5e-3}, evaluate: 20it}
prune: {rate: 0.5, rounds: 1, rewind: 20it}
controls: {reinit: 1}
replicates: 1
engine: dense
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE)
    return path
