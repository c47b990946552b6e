"""Whether a network gives what the module that it was made of gives."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from winnow.deployment.capture import arguments_of
from winnow.deployment.network import Network
from winnow.deployment.outputs import flat
from winnow.errors import UserError
from winnow.selection import uncompiled

ROUNDINGS = 256
"""How many roundings of the largest output two outputs may differ by: 3e-5 of it for float32.

A rounding is the distance from 1 to the next number of the dtype. Layers that sum in another order
differ by a few tens in the networks measured, a lost bias or unit by thousands and more.
"""
_FEW = 8
_FLOOR = 1e-3  # outputs below it are compared as if they were as large


def checked(network: Network, model: nn.Module, example_input: Any) -> float:
    """The largest difference of outputs on an example, as a share of the largest output.

    ``model``: the masked module, run in evaluation on a copy. ``example_input``: as for
    `winnow.deployment.capture.capture`. Each output may differ by `ROUNDINGS` of its largest value,
    for 16-bit floats by 8; integers and bits have to be equal.

    Raises UserError where they differ by more: nothing may be written then.
    """
    given = arguments_of(model, example_input)
    args: tuple[Tensor, ...] = ()
    kwargs = given
    if not isinstance(example_input, Mapping):
        args, kwargs = tuple(given.values()), {}
    wanted = _outputs(model, args, kwargs)
    with torch.no_grad():
        got = network.runnable()(*network.bound(args, kwargs))
    if len(got) != len(wanted):
        raise UserError(f"the deployed network gives {len(got)} outputs, the module {len(wanted)}")
    return max(
        [_compared(i, a, b) for i, (a, b) in enumerate(zip(got, wanted, strict=True))] or [0.0]
    )


def _outputs(model: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> list[Tensor]:
    own = copy.deepcopy(uncompiled(model)).eval().cpu()
    tensors: list[Tensor] = []
    with torch.no_grad():
        flat(own(*map(torch.clone, args), **{n: v.clone() for n, v in kwargs.items()}), tensors)
    return tensors


def _compared(which: int, got: Tensor, wanted: Tensor) -> float:
    """The largest difference of two outputs over the largest value of the second."""
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        raise UserError(
            f"output {which} of the deployed network is {got.dtype} {list(got.shape)}, the "
            f"module's {wanted.dtype} {list(wanted.shape)}"
        )
    if not wanted.is_floating_point():
        if torch.equal(got, wanted):
            return 0.0
        raise UserError(
            f"output {which} of the deployed network is not the module's on the example"
        )
    same = (got == wanted) | (got.isnan() & wanted.isnan())
    difference = (got.double() - wanted.double()).abs().masked_fill(same, 0)
    scale = max(float(wanted.double().nan_to_num(0, 0, 0).abs().max()), _FLOOR)
    share = float(difference.max()) / scale
    eps = torch.finfo(wanted.dtype).eps
    allowed = eps * (ROUNDINGS if eps < 1e-4 else _FEW)
    if not share <= allowed:  # NaN too
        raise UserError(
            f"output {which} of the deployed network differs from the masked module's on the "
            f"example by {share:.2g} of its largest value, {scale:.3g}; rounding explains "
            f"{allowed:.2g}. Nothing was written: please report this network"
        )
    return share
