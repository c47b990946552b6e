"""Two processes that train one model have one mask: on real ranks (gloo)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import distributed as dist
from torch import nn
from two_ranks import both, on_two_ranks, same

import winnow as wn
from winnow.distributed import (
    agreed_mask,
    agreed_scores,
    agreed_seed,
    check_agreed,
    check_no_flat_parameters,
    one_rank,
    ranks,
)
from winnow.mask import Mask
from winnow.selection import parameters, uncompiled

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch without torch.distributed")

NAMES = ["0.weight", "2.weight", "3.weight"]


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    return on_two_ranks("replicated_jobs")


def test_scores_are_the_mean_of_all_ranks(results: list[dict[str, Any]]) -> None:
    (own, agreed, number), (own_1, agreed_1, _) = both(results, "scores")
    assert number == 2
    assert list(own) == NAMES  # of the module inside, not module.0.weight
    assert not same(own, own_1)
    assert same(agreed, agreed_1)
    for name in own:
        torch.testing.assert_close(agreed[name], (own[name] + own_1[name]) / 2)


def test_masks_at_initialisation_are_the_same(results: list[dict[str, Any]]) -> None:
    """On the code before, two ranks pruned on their own shards had differing masks."""
    first, second = both(results, "at_init")
    assert first[2] != second[2]
    assert first[0] == second[0] == first[1] == second[1]
    assert list(first[0]) == NAMES
    assert first[0].kept == round(0.3 * first[0].size)


def test_one_rank_while_the_other_waits(results: list[dict[str, Any]]) -> None:
    mask, nothing = both(results, "one_rank_while_the_other_waits")
    assert mask.kept == round(0.3 * mask.size)
    assert nothing is None


def test_masks_that_differ_are_told_with_a_way_out(results: list[dict[str, Any]]) -> None:
    (own, agreed, error), (own_1, agreed_1, error_1) = both(results, "masks_that_differ")
    differing = sum(int((own[n] ^ own_1[n]).sum()) for n in own)
    assert f"ranks 0 and 1 have masks that differ in {differing} of {own.size} entries" in error
    assert "winnow.distributed.agreed_mask(mask)" in error
    assert error == error_1
    assert agreed == agreed_1 == own != own_1


def test_weights_that_differ_are_told(results: list[dict[str, Any]]) -> None:
    first, second = both(results, "weights_that_differ")
    assert "different weights here, on rank 0 0.weight [4, 8]" in first
    assert "on rank 1 0.weight [16, 8]" in second
    assert "one_rank()" in first


def test_training_is_that_of_one_process(results: list[dict[str, Any]]) -> None:
    (zeros, here, alone), (zeros_1, here_1, _) = both(results, "training")
    assert zeros
    assert zeros_1
    assert same(here, here_1)
    assert list(here) == list(alone)
    for name in here:
        torch.testing.assert_close(here[name], alone[name])


def test_an_optimizer_of_which_each_rank_has_a_part(results: list[dict[str, Any]]) -> None:
    first, second = both(results, "zero_redundancy")
    for zeros, slots, made, _, _ in (first, second):
        assert zeros
        assert slots > 0
        assert made == 7
    assert first[3] == second[3]
    assert same(first[4], second[4])


@pytest.mark.parametrize("name", ["rigl", "set", "deep-r"])
def test_masks_change_alike_and_as_in_one_process(name: str, results: list[dict[str, Any]]) -> None:
    first, second = both(results, "dynamic")
    masks, alone, here, there = first[name]
    assert masks == second[name][0]
    assert same(here, second[name][2])
    assert masks == alone
    assert len(set(masks)) > 3
    for layer in here:
        torch.testing.assert_close(here[layer], there[layer], rtol=1e-4, atol=1e-6)
    for layer, keep in masks[-1].items():
        assert not here[layer][~keep].any()


def test_gradients_that_no_one_averages_are_told(results: list[dict[str, Any]]) -> None:
    first, second = both(results, "dynamic_on_gradients_of_its_own")
    assert "after the update of iteration 0" in first
    assert "DistributedDataParallel?" in first
    assert first == second


def test_rounds_of_imp_have_one_mask(results: list[dict[str, Any]]) -> None:
    (mask, final), (mask_1, final_1) = both(results, "imp")
    assert mask == mask_1
    assert mask.kept == 112  # of 448
    assert same(final, final_1)
    for name, keep in mask.items():
        assert not final[name][~keep].any()


# ---- one process


def test_without_a_process_group_nothing_changes() -> None:
    mask = Mask({"a": torch.tensor([True, False])})
    scores = {"a": torch.tensor([1.0, 2.0])}
    assert ranks() == 1
    assert agreed_mask(mask) is mask
    assert agreed_seed(3) == 3
    assert agreed_scores(scores)["a"] is scores["a"]
    check_agreed(mask)
    with one_rank():
        assert ranks() == 1


def test_names_inside_of_wrappers() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    compiled: Any = torch.compile(nn.DataParallel(model), backend="eager")
    assert uncompiled(compiled) is model
    assert uncompiled(nn.DataParallel(torch.compile(model, backend="eager"))) is model
    assert list(parameters(nn.DataParallel(model))) == ["0.weight", "0.bias"]


def test_flattened_parameters_are_refused() -> None:
    class FullyShardedDataParallel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self._fsdp_wrapped_module = nn.Linear(2, 2)

    model = nn.Sequential(FullyShardedDataParallel())
    with pytest.raises(wn.UserError, match=r"fully_shard \(FSDP2\)"):
        check_no_flat_parameters(model)
    with pytest.raises(wn.UserError, match="flattens parameters"):
        wn.sparsify(model, Mask({"0.weight": torch.ones(2, 2).bool()}))
