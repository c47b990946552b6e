"""Beginning a dynamic method on a model whose weights and optimizers a checkpoint has filled."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@contextlib.contextmanager
def kept_aside(
    weights: Mapping[str, nn.Parameter],
    optimizers: Sequence[Optimizer],
    averages: Sequence[nn.Module] = (),
) -> Iterator[None]:
    """Put weights, their optimizer slots and their averages back on exit.

    A method begins with a mask of its own, which would remove what the checkpoint's mask keeps.
    """
    tensors = [weight.detach() for weight in weights.values()]
    tensors += [
        value
        for optimizer in optimizers
        for weight in weights.values()
        for value in optimizer.state.get(weight, {}).values()
        if isinstance(value, Tensor)
    ]
    tensors += [parameter.detach() for average in averages for parameter in average.parameters()]
    copies = [tensor.clone() for tensor in tensors]
    yield
    with torch.no_grad():
        for tensor, copy in zip(tensors, copies, strict=True):
            tensor.copy_(copy)
