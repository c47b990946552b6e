"""Zeros in what an optimizer holds, by codes where it holds codes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from winnow.errors import UserError
from winnow.slots import forget_curvature, is_low_bit, mask_slot, slot_values, weight_slots

KEEP = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])


def test_slots_of_the_weights_shape_and_no_others() -> None:
    weight = nn.Parameter(torch.ones(2, 3))
    optimizer = torch.optim.Adam([weight], lr=0.1)
    assert weight_slots(optimizer, weight) == {}
    weight.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    found = weight_slots(optimizer, weight)
    assert list(found) == ["exp_avg", "exp_avg_sq"]
    found["exp_avg"].fill_(7.0)
    assert bool((optimizer.state[weight]["exp_avg"] == 7).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_what_is_kept_stays_and_the_rest_is_zero(dtype: torch.dtype) -> None:
    slot = torch.ones(2, 3, dtype=dtype)
    mask_slot(slot, KEEP)
    assert torch.equal(slot, KEEP.to(dtype))
    assert slot_values(slot) is slot
    assert not is_low_bit(slot)


def test_codes_of_which_nothing_is_known_are_refused() -> None:
    weight = nn.Parameter(torch.ones(2, 3))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    optimizer.state[weight] = {"state1": torch.zeros(2, 3, dtype=torch.uint8)}
    with pytest.raises(UserError, match="slot 'state1' of SGD holds codes of 8 bits"):
        weight_slots(optimizer, weight)


class Foreign(Tensor):
    """A low-bit slot that nobody knows."""

    __module__ = "torchao.optim.next_year"


def test_an_unknown_low_bit_slot_is_refused_by_name() -> None:
    slot = torch.zeros(2, 3).as_subclass(Foreign)
    with pytest.raises(UserError, match=r"Foreign of torchao\.optim\.next_year holds its numbers"):
        mask_slot(slot, KEEP)


def test_lbfgs_begins_anew_with_the_steepest_descent() -> None:
    """Of a quadratic whose first minimum it has passed, the gradient is where it goes next."""
    weight = nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = torch.optim.LBFGS([weight], lr=0.1, max_iter=1)
    curvature = torch.tensor([1.0, 5.0])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = (curvature * weight.square()).sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for _ in range(3):
        optimizer.step(closure)
    for forget in (False, True):
        if forget:
            forget_curvature(optimizer)
        before = weight.detach().clone()
        optimizer.step(closure)
        moved, downhill = weight.detach() - before, -curvature * before
        cosine = float(torch.nn.functional.cosine_similarity(moved, downhill, dim=0))
        assert (cosine > 0.99999) == forget
    adam = torch.optim.Adam([weight], lr=0.1)
    adam.step(closure)
    before_state = dict(adam.state[weight])
    forget_curvature(adam)
    assert adam.state[weight] == before_state
