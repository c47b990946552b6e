"""Networks that cannot be trained here, and why."""

from __future__ import annotations

import torch
from torch import nn


class UnsupportedError(Exception):
    """The network holds something that has no kernel here; the text says what."""


def check_parameters(model: nn.Module) -> None:
    """UnsupportedError where a parameter is not float32 in training."""
    for name, parameter in model.named_parameters():
        if parameter.dtype != torch.float32 or not parameter.requires_grad:
            raise UnsupportedError(
                f"{name} is {parameter.dtype} or frozen, not float32 in training"
            )


def has_hooks(module: nn.Module) -> bool:
    """Whether calls of a module run more than its forward."""
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
