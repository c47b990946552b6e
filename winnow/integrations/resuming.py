"""Beginning a dynamic method on a model whose weights and optimizer a checkpoint has filled."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@contextlib.contextmanager
def kept_aside(weights: Mapping[str, nn.Parameter], optimizer: Optimizer | None) -> Iterator[None]:
    """Put weights and their optimizer slots back on exit; do nothing without an optimizer.

    A method begins with a mask of its own, which would remove what the checkpoint's mask keeps.
    """
    if optimizer is None:
        yield
        return
    slots = [
        value
        for weight in weights.values()
        for value in optimizer.state.get(weight, {}).values()
        if isinstance(value, Tensor)
    ]
    tensors = [*(weight.detach() for weight in weights.values()), *slots]
    copies = [tensor.clone() for tensor in tensors]
    yield
    with torch.no_grad():
        for tensor, copy in zip(tensors, copies, strict=True):
            tensor.copy_(copy)
