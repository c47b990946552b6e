"""How many weights each layer keeps in a search."""

from __future__ import annotations

import pytest
import torch

from winnow.algorithms.search.layers import counts_of
from winnow.errors import UserError


def test_layer_counts() -> None:
    weights = {
        "a": torch.tensor([[1.0, -9.0, 8.0, 0.5]]),
        "b": torch.tensor([[7.0, 0.1, -6.0, 0.2, 0.3, 0.4]]),
    }
    assert counts_of(weights, 0.4, "magnitude") == {"a": 2, "b": 2}
    assert counts_of(weights, 0.5, "layer") == {"a": 2, "b": 3}
    assert sum(counts_of(weights, 0.3, "uniform").values()) == 3
    with pytest.raises(UserError, match="keeps none of 10 weights"):
        counts_of(weights, 0.01, "magnitude")
