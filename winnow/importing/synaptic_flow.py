"""model.pt of ganguli-lab/Synaptic-Flow.

A state_dict in which each masked parameter has a float buffer of 0 and 1 beside it: X.weight and
X.weight_mask, X.bias and X.bias_mask. A layer computes with their product, so that the removed
weights still have values. Single-shot runs write it after training; multi-shot runs write it at
the start, when all masks are ones. A dense classifier has no masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from winnow.importing.found import ForeignTicket, Layout, Reader, is_state, state_dict_in

_END = "_mask"
_KERNELS = (2, 4)  # dimensions of matrices and kernels; identity shortcuts have three


def _recognises(file: Path, content: object) -> bool:  # noqa: ARG001  one signature for all
    """A state_dict with masks in it."""
    return is_state(content) and isinstance(content, Mapping) and any(map(_is_mask, content))


def _find(file: Path, content: object, reader: Reader) -> ForeignTicket:  # noqa: ARG001
    """Masks and weights. Masks of biases, norms and shortcuts are left out unless they prune."""
    tensors = state_dict_in(file.name, content)
    masks = {n.removesuffix(_END): t for n, t in tensors.items() if _is_mask(n)}
    weights = {n: t for n, t in tensors.items() if not _is_mask(n)}
    return ForeignTicket({n: t for n, t in masks.items() if _counts(t)}, weights)


def _is_mask(name: str) -> bool:
    return name.endswith(("weight_mask", "bias_mask"))


def _counts(mask: Tensor) -> bool:
    return mask.dim() in _KERNELS or not bool((mask == 1).all())


SYNAPTIC_FLOW = Layout(_recognises, _find, "model.pt")
