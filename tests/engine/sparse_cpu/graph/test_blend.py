"""Batch norms where they rarely are: two of one activation, and one of the images themselves."""

from __future__ import annotations

import pytest
import torch
from conformance import OPTIMIZERS, close, make_job, trained, training_data
from normed_networks import NORMED
from torch import nn

from winnow.engine.dense import DenseEngine
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.state import fresh_state


@pytest.mark.parametrize("network", NORMED, ids=lambda n: n.__name__)
def test_trained_as_by_the_dense_engine(network: type[nn.Module]) -> None:
    torch.manual_seed(0)
    job = make_job(network, training_data((3, 8, 8)), optimizer=OPTIMIZERS[1])
    state = fresh_state(network())
    end = trained(SparseEngine(), job, state, 5)
    close(end, trained(DenseEngine("cpu"), job, state, 5))
    moved = [not torch.equal(end.weights[name], w) for name, w in state.weights.items()]
    assert all(moved)
