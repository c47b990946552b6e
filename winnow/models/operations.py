"""Multiply-adds of a network, weight by weight: what one image costs at the density that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def uses_of_weights(model: nn.Module, inputs: tuple[int, ...]) -> dict[str, int]:
    """How often a forward pass of one example uses each weight of a layer, by parameter name.

    ``inputs``: the shape of an example without its batch. A weight of a linear layer is used once,
    one of a convolution at every position of the output (of a transposed one, of the input;
    positions in the padding count, as they do in the papers), that of a layer which is applied
    several times as often. Biases, normalisation and activations are left out, as in He et al.
    2016. ``model`` may be on the meta device; it is run once, in evaluation mode, and left as it
    was. Raises whatever the model raises for such an input.
    """
    uses: dict[str, int] = {}
    handles = [
        layer.register_forward_hook(_counting(f"{name}.weight" if name else "weight", uses))
        for name, layer in model.named_modules()
        if isinstance(layer, (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED))
    ]
    parameter = next(model.parameters())
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *inputs, device=parameter.device, dtype=parameter.dtype))
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return uses


def multiply_adds(kept: Mapping[str, int], uses: Mapping[str, int]) -> int:
    """Multiply-adds of one example: the weights that each layer keeps, as often as they are used.

    Raises KeyError for a layer that is not among ``uses``.
    """
    return sum(count * uses[name] for name, count in kept.items())


def _counting(name: str, uses: dict[str, int]) -> Callable[[nn.Module, Any, Tensor], None]:
    def count(layer: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        if isinstance(layer, nn.Linear):
            positions = prod(result.shape[1:-1])
        else:
            spatial = given[0] if isinstance(layer, _TRANSPOSED) else result
            positions = prod(spatial.shape[2:])
        uses[name] = uses.get(name, 0) + positions

    return count
