"""Networks that make something of nothing are refused by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from winnow.analysis.zero import check_zero_at_zero
from winnow.errors import UserError


def bare(*layers):
    """A chain of Linear layers without biases and something between them."""
    model = nn.Sequential(nn.Linear(3, 4, bias=False), *layers, nn.Linear(4, 2, bias=False))
    for weight in model.parameters():
        weight.data.fill_(1.0)
    return model.double()


class Inside(nn.Module):
    """An activation that is called as a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    "layer",
    [nn.ReLU(), nn.Tanh(), nn.GELU(), nn.SiLU(), nn.ELU(), nn.Hardswish(), nn.Softsign(),
     nn.Dropout(), Inside(torch.sin), Inside(lambda x: torch.sigmoid(x) - 0.5)],
)  # fmt: skip
def test_what_is_zero_at_zero_passes(layer) -> None:
    check_zero_at_zero(bare(layer).eval(), (3,))


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (nn.Sigmoid(), "1, a Sigmoid: it makes 0.5 of zeros"),
        (nn.Softplus(), "1, a Softplus: it makes 0.693147 of zeros"),
        (nn.Hardsigmoid(), "1, a Hardsigmoid: it makes 0.5"),
        (nn.Softmax(1), "1, a Softmax: it makes 0.25"),
        (Inside(torch.cos), "1, a Inside: it makes 1"),
        (Inside(lambda x: x / x.norm()), "1, a Inside: it makes nan"),
    ],
)
def test_what_is_not_is_named(layer, told) -> None:
    with pytest.raises(UserError, match=told):
        check_zero_at_zero(bare(layer), (3,))


def test_hooks_are_gone_afterwards() -> None:
    good, bad = bare(nn.ReLU()), bare(nn.Sigmoid())
    check_zero_at_zero(good, (3,))
    with pytest.raises(UserError):
        check_zero_at_zero(bad, (3,))
    assert not any(module._forward_hooks for model in (good, bad) for module in model.modules())
