"""Blocks stay or go together: counts of blocks, their sums, what does not fit."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import winnow as wn
from winnow.errors import UserError

VALUES = st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.0, 3.0])  # sums are exact, and often equal


@st.composite
def blocked(draw: Any) -> tuple[Tensor, int, int]:
    r, c = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    down, across = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    size = r * down * c * across
    values = draw(st.lists(VALUES, min_size=size, max_size=size))
    return torch.tensor(values).reshape(r * down, c * across), r, c


def slowly(scores: dict[str, Tensor], r: int, c: int, count: int) -> dict[str, Tensor]:
    """All blocks of all tensors in one list, by Python's stable sort."""
    found = []
    for name, tensor in scores.items():
        rows, columns = range(0, tensor.shape[0], r), range(0, tensor.shape[1], c)
        for i, j in itertools.product(rows, columns):
            found.append((float(tensor[i : i + r, j : j + c].sum()), name, i, j))
    kept = {name: torch.zeros(tensor.shape, dtype=torch.bool) for name, tensor in scores.items()}
    for _, name, i, j in sorted(found, key=lambda one: -one[0])[:count]:
        kept[name][i : i + r, j : j + c] = True
    return kept


@pytest.mark.filterwarnings("ignore::winnow.pruning.LayerCollapse")
@settings(deadline=None)
@given(blocked(), st.floats(0, 1))
def test_the_blocks_of_the_largest_sums_stay(one: tuple[Tensor, int, int], density: float) -> None:
    scores, r, c = one
    both = {"a": scores, "b": scores.flip(1)}
    blocks = 2 * scores.numel() // (r * c)
    count = round(density * blocks)
    for scope, expected in (
        ("global", slowly(both, r, c, count)),
        (
            "layer",
            {n: slowly({n: s}, r, c, round(density * (blocks // 2)))[n] for n, s in both.items()},
        ),
    ):
        mask = wn.prune(both, density=density, block=(r, c), scope=scope)
        assert all(torch.equal(mask[name], expected[name]) for name in both)


@pytest.mark.filterwarnings("ignore::winnow.pruning.LayerCollapse")
@settings(deadline=None)
@given(blocked(), st.floats(0.3, 1), st.floats(0, 0.9))
def test_what_a_round_removed_never_returns(
    one: tuple[Tensor, int, int], density: float, rate: float
) -> None:
    scores, r, c = one
    first = wn.prune({"a": scores}, density=density, block=(r, c))
    spoiled = scores.masked_fill(~first["a"], float("nan"))
    second = wn.prune({"a": spoiled}, rates=rate, block=(r, c), mask=first)
    left = first.kept // (r * c)
    assert second.kept == (left - round(rate * left)) * r * c
    assert (first & second) == second


def test_columns_of_transposed_weights_are_units() -> None:
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    turned = wn.prune({"w": scores.T.contiguous()}, density=0.5, block=(2, 3))["w"].T
    mask = wn.prune({"w": scores}, density=0.5, block=(2, 3), inputs={"*": 0})["w"]
    assert torch.equal(mask, turned)


def test_shares_of_layers_are_those_of_weights() -> None:
    """Erdős–Rényi with blocks: as many weights in each layer as without, but for a block."""
    scores = {"a": torch.rand(40, 20), "b": torch.rand(8, 40), "c": torch.rand(4, 8)}
    with_blocks = wn.prune(scores, density=0.2, scope="erk", block=(2, 2))
    without = wn.prune(scores, density=0.2, scope="erk")
    assert with_blocks.kept == 4 * round(0.2 * (800 + 320 + 32) / 4)
    for name in scores:
        assert abs(with_blocks.kept_per_layer[name] - without.kept_per_layer[name]) < 8


def test_least_counts_weights() -> None:
    scores = {"a": torch.ones(4, 4), "b": torch.zeros(4, 4)}
    mask = wn.prune(scores, density=0.5, block=(1, 4), least=5)
    assert mask.kept_per_layer == {"a": 8, "b": 8}


def test_what_cannot_hold_is_refused_by_name() -> None:
    scores = {"w": torch.rand(4, 6)}
    with pytest.raises(UserError, match=r"'w' \[4, 6\] has 4 units of 6 inputs, which blocks of 3"):
        wn.prune(scores, density=0.5, block=(3, 3))
    half = wn.Mask({"w": torch.arange(24).reshape(4, 6) < 3})
    with pytest.raises(UserError, match="keeps 1 blocks of 1 × 6 in part"):
        wn.prune(scores, density=0.1, block=(1, 6), mask=half)
    with pytest.raises(UserError, match="blocks are several rows"):
        wn.prune(scores, density=0.5, block=(1, 2), scope="row")
    for wrong in ("44", (4,), (0, 2), (True, 2)):
        with pytest.raises(UserError, match="give \\(outputs, inputs\\) of a block"):
            wn.prune(scores, density=0.5, block=wrong)  # type: ignore[arg-type]
