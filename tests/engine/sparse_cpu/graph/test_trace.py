"""Which networks can be traced, and what their operations are recognised as."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from winnow.engine.sparse_cpu.graph.kinds import OperationKind
from winnow.engine.sparse_cpu.graph.recognise import recognise
from winnow.engine.sparse_cpu.graph.trace import trace
from winnow.engine.sparse_cpu.unsupported import UnsupportedError

SHAPE = (3, 8, 8)


class Free(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.way = forward
        self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4, 10)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.way(self, x)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (lambda m, x: m.linear(m.conv(x).mean((2, 3))) if x.sum() > 0 else x, "cannot be traced"),
        (lambda m, x: m.linear(x.flatten(1)), "does not take images"),
        (lambda m, x: m.conv(x), "does not return logits"),
        (lambda m, x: m.linear(m.conv(x).mean((0, 2, 3))), "does not return logits"),
        (lambda m, x: m.linear((m.conv(x) if m.training else -m.conv(x)).mean((2, 3))), "other"),
    ],
)
def test_what_cannot_run_is_refused_with_its_reason(way, reason):
    with pytest.raises(UnsupportedError, match=reason):
        trace(Free(way), SHAPE)


def kinds(way):
    nodes, _ = trace(Free(way), SHAPE)
    return [node.kind for node in nodes]


@pytest.mark.parametrize(
    ("pool", "kind"),
    [
        (lambda x: x.mean((2, 3)), OperationKind.AVERAGE),
        (lambda x: x.mean([-1, -2], keepdim=True).flatten(1), OperationKind.AVERAGE),
        (lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), OperationKind.AVERAGE),
        (lambda x: F.max_pool2d(x, 6).view(x.size(0), -1), OperationKind.MAXIMUM),
        (lambda x: F.avg_pool2d(x, (6, 6)).reshape(x.shape[0], 4), OperationKind.AVERAGE),
        (lambda x: x.amax((2, 3)), OperationKind.TORCH),
        (lambda x: F.max_pool2d(x, 6, ceil_mode=True).flatten(1), OperationKind.TORCH),
        (lambda x: F.lp_pool2d(x, 2, 6).flatten(1), OperationKind.TORCH),
    ],
)
def test_pools_are_recognised(pool, kind):
    assert kind in kinds(lambda m, x: m.linear(pool(m.conv(x))))


def test_dropout_is_recognised_in_both_forms():
    def functional(m, x):
        x = F.dropout(m.conv(x).mean((2, 3)), 0.5, training=m.training)
        return m.linear(m.drop(x))

    assert kinds(functional).count(OperationKind.DROPOUT) == 2
    assert OperationKind.DROPOUT not in kinds(
        lambda m, x: m.linear(F.dropout(m.conv(x).mean((2, 3)), 0.0))
    )


def test_an_operation_in_place_is_seen_by_later_users():
    def way(m, x):
        y = m.conv(x)
        F.relu_(y)
        return m.linear((y + y.relu()).mean((2, 3)))

    nodes, _ = trace(Free(way), SHAPE)
    add = next(node for node in nodes if node.kind is OperationKind.ADD)
    assert [source.name for source in add.inputs] == ["relu_", "relu"]


def test_only_known_modules_have_kernels():
    class Own(nn.ReLU):
        def forward(self, x):
            return -x

    node = torch.fx.symbolic_trace(nn.Sequential(nn.ReLU())).graph
    call = next(n for n in node.nodes if n.op == "call_module")
    assert recognise(call, call, nn.ReLU(), [(3,)], (3,)).kind is OperationKind.RELU
    assert recognise(call, call, Own(), [(3,)], (3,)).kind is OperationKind.TORCH
    hooked = nn.ReLU()
    hooked.register_forward_hook(lambda *_: None)
    assert recognise(call, call, hooked, [(3,)], (3,)).kind is OperationKind.TORCH
