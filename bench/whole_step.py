"""The strongest dense rival in torch: a whole training step as one piece of compiled code.

Forward and backward pass, momentum and batch norm's statistics are traced into one graph of plain
operations and compiled by inductor for one memory layout. There is no mask, no check and no copy.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

Step = Callable[[Tensor, Tensor], None]
"""Trains one batch: images (B, C, H, W) as they lie in memory, labels."""


def compiled(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    rate: float,
    momentum: float,
    decay: float,
    backend: str = "inductor",
) -> Step:
    """The step for batches like (x, y); it changes the model's own weights and buffers.

    The update is that of torch.optim.SGD with ``momentum`` and weight ``decay``. ``backend``:
    torch.compile's.
    """
    weights = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())
    moving = {name: torch.zeros_like(w) for name, w in weights.items()}

    def step(weights: list[Tensor], buffers: list[Tensor], moving: list[Tensor],
             x: Tensor, y: Tensor) -> Tensor:  # fmt: skip
        trained = [w.detach().requires_grad_() for w in weights]
        named = dict(zip(names, [*trained, *buffers], strict=True))
        with torch.enable_grad():
            loss = F.cross_entropy(functional_call(model, named, (x,)), y)
            gradients = torch.autograd.grad(loss, trained)
        for w, u, g in zip(weights, moving, gradients, strict=True):
            u.copy_(momentum * u + g + decay * w)
            w.sub_(rate * u)
        return loss.detach()

    names = [*weights, *buffers]
    state = [list(part.values()) for part in (weights, buffers, moving)]
    model.train()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler, about itself
        before = [tensor.clone() for tensor in itertools.chain(*state)]
        graph = make_fx(step)(*state, x, y)
        code = torch.compile(graph, backend=backend, fullgraph=True, dynamic=False)
        code(*state, x, y)
        for tensor, value in zip(itertools.chain(*state), before, strict=True):
            tensor.copy_(value)  # tracing and compiling have trained

    def run(x: Tensor, y: Tensor) -> None:
        with torch.no_grad():
            code(*state, x, y)

    return run
