"""Signs of weights, counted by hand."""

from __future__ import annotations

import math

import pytest
import torch

from winnow.analysis import SignAgreement, layer_sign_agreements, sign_agreement
from winnow.mask import Mask

INITIAL = {"a": torch.tensor([1.0, -2.0, 0.5, -4.0]), "b": torch.tensor([[-1.0, 3.0]])}
TRAINED = {"a": torch.tensor([9.0, 2.0, -0.1, -0.1]), "b": torch.tensor([[-4.0, -3.0]])}
KEEP = Mask({"a": torch.tensor([1, 1, 0, 1]).bool(), "b": torch.tensor([[1, 0]]).bool()})


def test_numbers_by_hand():
    assert layer_sign_agreements(INITIAL, TRAINED, KEEP) == {
        "a": SignAgreement(2, 3),
        "b": SignAgreement(1, 1),
    }
    assert sign_agreement(INITIAL, TRAINED, KEEP) == SignAgreement(3, 4)
    assert sign_agreement(INITIAL, TRAINED, KEEP).share == 0.75
    assert sign_agreement(INITIAL, TRAINED, Mask.dense(INITIAL)) == SignAgreement(3, 6)


def test_zero_is_a_sign_of_its_own():
    before, after = ({"a": torch.tensor(v)} for v in ([0.0, 0.0, 1.0], [-0.0, 1.0, 0.0]))
    assert sign_agreement(before, after, Mask.dense(before)) == SignAgreement(1, 3)


def test_the_smallest_numbers_have_signs():
    tiny = {"a": torch.tensor([1e-40, -1e-40])}
    assert sign_agreement(tiny, tiny, Mask.dense(tiny)).share == 1
    assert sign_agreement(tiny, {"a": -tiny["a"]}, Mask.dense(tiny)).share == 0


def test_where_nothing_is_kept_there_is_no_share():
    nothing = sign_agreement(INITIAL, TRAINED, Mask.dense(INITIAL).inverted())
    assert (nothing.kept, math.isnan(nothing.share)) == (0, True)


def test_weights_of_another_network_are_refused():
    for pair in ((INITIAL, {"a": TRAINED["a"]}), ({"a": INITIAL["a"]}, TRAINED)):
        with pytest.raises(ValueError, match="'b'"):
            sign_agreement(*pair, KEEP)
