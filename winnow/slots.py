"""What an optimizer holds for each entry of a weight, and setting it to zero: also at 8 or 4 bits.

Low-bit slots (torchao) are codes of a table, with a scale for each block of entries. The codes of
what is removed are set, and no other: to quantise a block again would move the rest of it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

from winnow.errors import UserError
from winnow.sharding import local


def weight_slots(optimizer: Optimizer, weight: Tensor) -> dict[str, Tensor]:
    """The slots of the weight's shape: momenta, squares, averages; of a shard, those of the shard.

    Raises UserError for codes of 8 bits of whose meaning nothing is known.
    """
    # A 0-dimensional weight has the shape of step counters, so its slots are left alone.
    state = optimizer.state.get(weight, {}) if weight.dim() else {}
    found = {
        name: local(value)
        for name, value in state.items()
        if isinstance(value, Tensor) and value.shape == weight.shape
    }
    for name, value in found.items():
        if type(value) is Tensor and value.dtype in (torch.uint8, torch.int8):
            raise UserError(
                f"the slot {name!r} of {type(optimizer).__name__} holds codes of 8 bits, and how "
                "to write a zero in them is not known: use an optimizer with slots of 16 or 32 "
                "bits, or torchao.optim.AdamW8bit"
            )
    return found


def mask_slot(slot: Tensor, factor: Tensor) -> None:
    """Multiply by 0.0 where the factor, of the same shape, is 0; leave the rest as it is.

    Second moments of torchao's 4 bits have no zero: there a removed entry is left with the smallest
    code, a sixteenth of the largest second moment of its block. Its first moment is 0 exactly.
    """
    if is_low_bit(slot):
        _set_codes(slot, factor == 0)
    elif slot.is_floating_point() or slot.is_complex():
        slot.mul_(factor)
    else:
        slot.masked_fill_(factor == 0, 0)


def forget_curvature(optimizer: Optimizer) -> None:
    """Let LBFGS begin anew: what it has seen of the curvature is that of another network.

    It goes on with the steepest descent, as in its first step. Other optimizers stay as they are.
    """
    if isinstance(optimizer, torch.optim.LBFGS):
        for state in optimizer.state.values():
            if "n_iter" in state:
                state["n_iter"] = 0


def slot_values(slot: Tensor) -> Tensor:
    """The slot's values as an ordinary tensor."""
    if not is_low_bit(slot):
        return slot
    values: Tensor = slot.dequantize()
    return values


def is_low_bit(slot: Tensor) -> bool:
    """Whether this is a slot of one of torchao's optimizers."""
    return type(slot).__module__.startswith("torchao.")


def _set_codes(slot: Tensor, removed: Tensor) -> None:
    codes, table = getattr(slot, "codes", None), getattr(slot, "qmap", None)
    if not isinstance(codes, Tensor):
        raise _unknown(slot)
    if codes.is_floating_point():  # 8-bit floats, whose zero is 0 in every bit
        codes.view(torch.uint8).masked_fill_(removed.reshape(codes.shape), 0)
        return
    if not isinstance(table, Tensor) or codes.dtype != torch.uint8:
        raise _unknown(slot)
    zero = table.abs().argmin().to(torch.uint8)
    if codes.shape == removed.shape:
        codes.copy_(torch.where(removed, zero, codes))
    elif len(table) == 16 and codes.numel() * 2 == removed.numel():
        high, low = removed.reshape(-1, 2).unbind(1)  # two entries share a byte
        first = torch.where(high, zero, codes.reshape(-1) >> 4)
        second = torch.where(low, zero, codes.reshape(-1) & 0b1111)
        codes.copy_(((first << 4) | second).reshape(codes.shape))
    else:
        raise _unknown(slot)


def _unknown(slot: Tensor) -> UserError:
    return UserError(
        f"how {type(slot).__name__} of {type(slot).__module__} holds its numbers is not known, so "
        "that removed weights cannot be given zeros there: use torchao.optim.AdamW8bit, AdamW4bit "
        "or AdamWFp8, or an optimizer of torch.optim"
    )
