"""Gradients in another memory layout than their parameter's."""

from __future__ import annotations

import pytest
import torch
from conformance import OPTIMIZERS, make_job, training_data
from torch import nn

from winnow.engine.dense import DenseEngine
from winnow.engine.optimizer import make_optimizer, set_gradients
from winnow.state import State


@pytest.mark.parametrize("spec", OPTIMIZERS, ids=lambda spec: spec["name"])
def test_a_transposed_gradient_updates_the_right_weights(spec):
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(4, 3, generator=draw)
    gradients = [torch.randn(3, 4, generator=draw).t() for _ in range(3)]
    ends = []
    for transposed in (True, False):
        parameter = nn.Parameter(values.clone())
        optimizer = make_optimizer({"w": parameter}, spec)
        for gradient in gradients:
            set_gradients([parameter], [gradient if transposed else gradient.contiguous()])
            optimizer.step()
        ends.append(parameter.detach())
    assert torch.equal(*ends)


class Einsum(nn.Module):
    """A linear layer whose weight gets a transposed gradient."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10, 16))

    def forward(self, x):
        return torch.einsum("bi,oi->bo", x.flatten(1), self.weight)


def test_the_dense_engine_trains_a_network_with_transposed_gradients():
    weight = torch.randn(10, 16, generator=torch.Generator().manual_seed(1)) / 4
    ends = []
    for name, build in (
        ("weight", Einsum),
        ("1.weight", lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 10, bias=False))),
    ):
        job = make_job(build, training_data((1, 4, 4)), optimizer=OPTIMIZERS[1])
        session = DenseEngine("cpu").open(job, State(0, {name: weight}, {}))
        session.advance(10)
        ends.append(session.state().weights[name])
    torch.testing.assert_close(*ends)
