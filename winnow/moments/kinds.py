"""The moments there are, and the loss whose gradients they are of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

MomentKind = Literal["abs", "square"]
Loss = Callable[[Any, Any], Tensor]  # (outputs, targets)
KINDS: tuple[str, ...] = get_args(MomentKind)


def wide(tensor: Tensor) -> torch.dtype:
    """The type of a tensor's moments: its own, but at least float32."""
    return torch.promote_types(tensor.dtype, torch.float32)


def summed(gradients: Tensor, kind: MomentKind) -> Tensor:
    """Σᵢ |gᵢ| or Σᵢ gᵢ² of gradients (N, …). Overwrites them."""
    values = gradients.abs_() if kind == "abs" else gradients.square_()
    return values.sum(0)
