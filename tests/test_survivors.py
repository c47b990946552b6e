"""Weights that a file left out are known to be missing wherever another mask would use them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import winnow as wn
from winnow import analysis
from winnow.mask import Mask
from winnow.pretrained import load_pretrained
from winnow.survivors import Survivors, check_known

MASK = Mask({"w": torch.tensor([True, False, True]), "v": torch.tensor([True, True])})
PART = Survivors({"w": torch.tensor([1.0, 0, 2]), "v": torch.ones(2), "b": torch.ones(1)}, MASK)
WHOLE = {"w": torch.tensor([1.0, 3, 2]), "v": torch.ones(2), "b": torch.ones(1)}


@pytest.mark.parametrize(
    ("mask", "missing"),
    [
        (MASK, False),
        (Mask({"w": torch.tensor([True, False, False]), "v": torch.tensor([True, False])}), False),
        (Mask({"w": torch.tensor([False, True, False])}), True),
        (MASK.inverted(), True),
        (Mask({"v": torch.tensor([True, True])}), True),  # then all of w is wanted
        (Mask({"w": torch.tensor([True, False, True])}), False),  # v has nothing removed
        ({}, True),
    ],
)
def test_masks_that_keep_what_is_not_known(mask: Mapping[str, Tensor], missing: bool) -> None:
    check_known(WHOLE, mask, "these")
    if not missing:
        check_known(PART, mask, "these")
        return
    with pytest.raises(wn.UserError, match=r"these: 1 weights of 'w'.*removed=True.*--removed"):
        check_known(PART, mask, "these")


def test_a_copy_knows_it_too() -> None:
    for same in (copy.copy(PART), copy.deepcopy(PART)):
        with pytest.raises(wn.UserError, match="'w'"):
            check_known(same, {}, "these")


def test_a_ticket_of_them_has_no_other_mask() -> None:
    ticket = wn.Ticket(MASK, PART)
    assert not ticket.removed_known
    assert repr(ticket).endswith("removed weights left out)")
    assert wn.Ticket(MASK, WHOLE).removed_known
    assert not wn.Ticket(MASK, WHOLE, PART).removed_known
    assert not wn.Ticket(MASK, ticket.rewind).removed_known
    other = MASK.shuffled(torch.Generator().manual_seed(1))
    assert other != MASK
    wn.Ticket(other, WHOLE)
    with pytest.raises(wn.UserError, match=r"rewind weights: 1 weights of 'w'"):
        wn.Ticket(other, ticket.rewind)
    with pytest.raises(wn.UserError, match=r"final weights: 1 weights of 'w'"):
        wn.Ticket(other, WHOLE, ticket.rewind)


@pytest.mark.parametrize(
    ("measure", "of_kept"),
    [
        (lambda w, mask: analysis.weight_movement(w, WHOLE, mask), True),
        (lambda w, mask: analysis.weight_movement(WHOLE, w, mask), True),
        (lambda w, mask: analysis.sign_agreement(w, WHOLE, mask), True),
        (lambda w, mask: analysis.sign_agreement(WHOLE, w, mask), True),
        (lambda w, mask: analysis.weight_distance(w, WHOLE, mask), True),
        (lambda w, mask: analysis.weight_distance(WHOLE, w, mask), True),
        (lambda w, mask: analysis.sigma_histograms(w, WHOLE, mask), True),
        (lambda w, mask: analysis.sigma_histograms(WHOLE, w, mask), False),
        (lambda w, mask: analysis.two_modes(w, mask), False),
    ],
)
def test_analyses_of_other_masks_are_refused(
    measure: Callable[[Mapping[str, Tensor], Mask], Any], of_kept: bool
) -> None:
    """``of_kept``: they need nothing but what the mask keeps."""
    measure(WHOLE, MASK.inverted())
    with pytest.raises(wn.UserError, match="'w' are wanted that are not known"):
        measure(PART, MASK.inverted())
    if of_kept:
        measure(PART, MASK)
    else:
        with pytest.raises(wn.UserError, match="'w' are wanted that are not known"):
            measure(PART, MASK)


def test_trained_weights_to_start_from_are_whole(tmp_path: Any) -> None:
    model = nn.Linear(3, 2)
    mask = Mask({"weight": torch.tensor([[True, False, True], [False, True, False]])})
    wn.Ticket(mask, model.state_dict()).save(tmp_path / "t.safetensors")
    ticket = wn.load(tmp_path / "t.safetensors")
    for source in (tmp_path / "t.safetensors", ticket.rewind, {"state_dict": ticket.rewind}):
        with pytest.raises(wn.UserError, match="'weight' are wanted that are not known"):
            load_pretrained(nn.Linear(3, 2), source)
    masked = {**model.state_dict(), "weight": model.weight.detach() * mask["weight"]}
    wn.Ticket(mask, model.state_dict(), masked).save(tmp_path / "t.safetensors")
    load_pretrained(model, tmp_path / "t.safetensors")  # its final weights, which are known
    assert torch.equal(model.weight, masked["weight"])
