"""Whether a network without biases gives zeros for zeros: what paths of weights rest on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from winnow.errors import UserError


def check_zero_at_zero(model: nn.Module, input_shape: Sequence[int]) -> None:
    """Raises UserError, naming the innermost module, if anything but zeros comes out for zeros.

    ``model``: in float64, its biases and shifts 0, its weights positive, so that no two such
    outputs cancel. A sigmoid is 1/2 at 0, so that a unit without connections feeds a constant to
    what follows.
    """
    names = {module: name for name, module in model.named_modules()}

    def refuse(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        given = [one for one in inputs if isinstance(one, Tensor)]
        if any(bool((one != 0).any()) for one in given) or not isinstance(output, Tensor):
            return
        wrong = output[output != 0]  # nan as well
        if len(wrong):
            raise UserError(
                f"paths cannot be counted through {names[module] or 'the model'}, a "
                f"{type(module).__name__}: it makes {float(wrong[0]):g} of zeros, so that a unit "
                "that nothing goes into still feeds what follows; activations are 0 at 0 (ReLU), "
                "outputs are logits"
            )

    hooks = [module.register_forward_hook(refuse) for module in model.modules()]
    try:
        with torch.no_grad():
            model(torch.zeros(1, *input_shape, dtype=torch.float64))
    finally:
        for hook in hooks:
            hook.remove()
