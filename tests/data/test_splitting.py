from __future__ import annotations

import numpy as np
import pytest
import torch

from winnow.data.split import split
from winnow.errors import UserError


def test_parts_are_sorted_disjoint_and_complete() -> None:
    train, validation = split(1000, 100, seed=3)
    assert train.dtype == validation.dtype == torch.int64
    assert len(train) == 900
    assert len(validation) == 100
    assert torch.equal(torch.cat([train, validation]).sort().values, torch.arange(1000))
    assert torch.equal(train, train.sort().values)
    assert torch.equal(validation, validation.sort().values)


def test_same_seed_same_split_and_another_seed_another() -> None:
    assert torch.equal(split(1000, 100, 3)[1], split(1000, 100, 3)[1])
    assert not torch.equal(split(1000, 100, 3)[1], split(1000, 100, 4)[1])


def test_every_image_is_equally_likely() -> None:
    counts = np.zeros(50)
    for seed in range(2000):
        counts[split(50, 10, seed)[1].numpy()] += 1
    # binomial(2000, 0.2): mean 400, deviation 17.9
    assert abs(counts - 400).max() < 4.5 * 17.9


def test_no_validation_is_allowed() -> None:
    train, validation = split(5, 0, 0)
    assert train.tolist() == [0, 1, 2, 3, 4]
    assert len(validation) == 0


@pytest.mark.parametrize("validation", [10, 11, -1])
def test_validation_out_of_range(validation: int) -> None:
    with pytest.raises(UserError, match=f"validation={validation}.*10"):
        split(10, validation, 0)


def test_a_part_of_what_is_not_held_out() -> None:
    whole, held_out = split(1000, 100, 3)
    part, same = split(1000, 100, 3, train=200)
    assert torch.equal(same, held_out)
    assert len(part) == 200
    assert torch.equal(part, part.unique())
    assert set(part.tolist()) <= set(whole.tolist())
    smaller = split(1000, 100, 3, train=50)[0]
    assert set(smaller.tolist()) < set(part.tolist())
    assert torch.equal(split(1000, 100, 3, train=900)[0], whole)
    assert not torch.equal(split(1000, 100, 4, train=200)[0], part)


def test_every_image_is_equally_likely_to_be_in_the_part() -> None:
    counts = np.zeros(50)
    for seed in range(2000):
        counts[split(50, 5, seed, train=10)[0].numpy()] += 1
    # binomial(2000, 0.2), as held-out images are drawn first: mean 400, deviation 17.9
    assert abs(counts - 400).max() < 4.5 * 17.9


@pytest.mark.parametrize("train", [0, -1, 91])
def test_a_part_out_of_range(train: int) -> None:
    with pytest.raises(UserError, match=f"train={train} must .* not held out, 90"):
        split(100, 10, 0, train=train)
