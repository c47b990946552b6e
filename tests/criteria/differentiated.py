"""Second derivatives by ``differentiated_twice`` against torch's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from winnow.criteria.second import differentiated_twice


def product(model: nn.Module, x: Tensor, weights: list[Tensor], fast: bool) -> list[Tensor]:
    """Gradients and Hessian times a fixed vector, of a loss that is far from quadratic."""
    inputs = [*weights, x] if x.requires_grad else weights
    if fast:
        with differentiated_twice():
            out = model(x)
    else:
        out = model(x)
    loss = (out.sin() * out).sum() + out.exp().mean()
    g = torch.autograd.grad(loss, inputs, create_graph=True)
    generator = torch.Generator().manual_seed(0)
    v = [torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in inputs]
    return [*g, *torch.autograd.grad(g, inputs, grad_outputs=v, allow_unused=True)]


def assert_same(model: nn.Module, x: Tensor) -> None:
    weights = [p for p in model.parameters() if p.requires_grad]
    mine, theirs = (product(model, x, weights, fast) for fast in (True, False))
    for a, b in zip(mine, theirs, strict=True):
        size = max(float(b.detach().abs().max()), 1e-3)
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9 * size)
