"""Masks over parameters that FSDP2 shards, on real ranks (gloo)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import distributed as dist
from two_ranks import both, on_two_ranks, same

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_available(), reason="torch without torch.distributed"),
]


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    return on_two_ranks("sharded_jobs")


def test_parts(results: list[dict[str, Any]]) -> None:
    for found in both(results, "parts"):
        assert found == (True, True, True, True)


@pytest.mark.parametrize("name", ["momentum", "adamw", "adamw-fused"])
def test_zeros_are_exact_and_training_is_that_of_one_process(
    name: str, results: list[dict[str, Any]]
) -> None:
    """In gradients, weights, slots, and in the state dict gathered in whole."""
    (mask, first), (_, second) = both(results, "training")
    zeros, here, alone, gathered = first[name]
    assert zeros
    assert second[name][0]
    assert same(here, second[name][1])
    assert same(gathered, here)
    for layer, keep in mask.items():
        assert not gathered[layer][~keep].any()
        assert gathered[layer][keep].any()
        torch.testing.assert_close(here[layer], alone[layer], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["rigl", "set", "deep-r", "dsr", "snfs", "gradual"])
def test_masks_change_as_in_one_process(name: str, results: list[dict[str, Any]]) -> None:
    """With another seed on each rank, of which that of the first counts."""
    first, second = both(results, "dynamic")
    zeros, masks, alone, here, there = first[name]
    assert zeros
    assert masks == second[name][1]
    assert masks == alone
    assert len(set(masks)) > 1
    for layer in here:
        torch.testing.assert_close(here[layer], there[layer], rtol=1e-4, atol=1e-6)


def test_scores_of_a_sharded_model_are_whole(results: list[dict[str, Any]]) -> None:
    for mask, alone, errors in both(results, "scores"):
        assert mask == alone
        assert len(errors) == 2
        for error in errors:
            assert "'0.weight' is sharded (fully_shard)" in error
            assert "before it is sharded" in error


def test_rounds_of_imp_are_those_of_one_process(results: list[dict[str, Any]]) -> None:
    first, second = both(results, "imp")
    mask, rewind, final, mask_alone, rewind_alone, final_alone = first
    assert mask == second[0] == mask_alone
    assert mask.density < 0.5
    assert same(rewind, second[1])
    assert same(final, second[2])
    for layer, keep in mask.items():
        assert not final[layer][~keep].any()
        torch.testing.assert_close(rewind[layer], rewind_alone[layer], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(final[layer], final_alone[layer], rtol=1e-4, atol=1e-6)


def test_a_mask_that_differs_is_told(results: list[dict[str, Any]]) -> None:
    for error in both(results, "a_mask_that_differs"):
        assert "ranks 0 and 1 have masks that differ" in error
