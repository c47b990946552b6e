"""What cannot be written is refused with the name of its tensor."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from winnow.errors import UserError
from winnow.mask import Mask
from winnow.ticketfile.writing import TicketWriter, stored_dtype

KEEP = Mask({"w": torch.tensor([True, False, True])})


@pytest.mark.parametrize("value", [65520.0, -1e30])
def test_what_float16_cannot_hold_is_named(value: float) -> None:
    weights = {"b": torch.ones(2), "w": torch.tensor([1.0, 0, value])}
    said = re.escape(f"rewind weights: 'w' has a value of {abs(value):.6g}, and float16 ends at")
    with pytest.raises(UserError, match=said):
        TicketWriter(KEEP, removed=False, half=True).write("rewind", weights)
    TicketWriter(KEEP, removed=False, half=False).write("rewind", weights)
    TicketWriter(Mask({}), removed=False, half=True).write(
        "rewind", {"w": torch.tensor([65504.0, float("inf"), float("nan"), 1e-30])}
    )


def test_removed_weights_are_only_looked_at_when_they_are_written() -> None:
    weights = {"w": torch.tensor([1.0, 1e30, 2])}
    TicketWriter(KEEP, removed=False, half=True).write("rewind", weights)
    with pytest.raises(UserError, match="'w' has a value of 1e\\+30"):
        TicketWriter(KEEP, removed=True, half=True).write("rewind", weights)


@pytest.mark.parametrize("odd", [torch.zeros(2, 2).to_sparse(), torch.empty(2, device="meta")])
def test_tensors_that_are_no_plain_numbers_are_named(odd: Tensor) -> None:
    with pytest.raises(UserError, match=r"final weights: 'odd': .* cannot be packed"):
        TicketWriter(KEEP, removed=False, half=False).write("final", {"odd": odd})


def test_what_half_changes() -> None:
    half = {d for d in (torch.float64, torch.float32) if stored_dtype(d, True) == torch.float16}
    assert half == {torch.float64, torch.float32}
    for dtype in (torch.bfloat16, torch.float8_e5m2, torch.int64, torch.complex64, torch.bool):
        assert stored_dtype(dtype, True) == dtype
    assert stored_dtype(torch.float32, False) == torch.float32
