"""The exact top k against a sort of (−score, position)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from winnow import topk
from winnow.errors import UserError
from winnow.topk import keep_largest, largest

DENORMAL = 1e-42
TIED = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, DENORMAL, -DENORMAL, 3.4e38, -3.4e38]
VALUES = st.one_of(
    st.sampled_from(TIED), st.floats(width=32, allow_nan=False, allow_infinity=False)
)


def naive(
    scores: dict[str, Tensor], count: int, candidates: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Sort all candidates by (−score, tensor, flat index) in float64 Python numbers."""
    ranked = [
        (-value, position, index)
        for position, (name, tensor) in enumerate(scores.items())
        for index, value in enumerate(tensor.double().flatten().tolist())
        if candidates is None or candidates[name].flatten()[index]
    ]
    names, kept = list(scores), {n: torch.zeros(t.numel()).bool() for n, t in scores.items()}
    for _, position, index in sorted(ranked)[:count]:
        kept[names[position]][index] = True
    return {name: kept[name].reshape(scores[name].shape) for name in scores}


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return list(found) == list(expected) and all(torch.equal(found[n], expected[n]) for n in found)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(VALUES, max_size=12), min_size=1, max_size=4),
    st.lists(
        st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
        min_size=4,
        max_size=4,
    ),
    st.data(),
)
def test_equals_a_stable_sort(
    values: list[list[float]], dtypes: list[torch.dtype], data: st.DataObject
) -> None:
    scores = {
        f"w{i}": torch.tensor(v, dtype=torch.float64).clamp(-6e4, 6e4).to(dtypes[i])
        for i, v in enumerate(values)
    }
    candidates = None
    if data.draw(st.booleans()):
        candidates = {
            n: torch.tensor(
                data.draw(st.lists(st.booleans(), min_size=len(t), max_size=len(t))),
                dtype=torch.bool,
            )
            for n, t in scores.items()
        }
    total = sum(int(c.sum()) for c in candidates.values()) if candidates else 0
    total = total if candidates else sum(t.numel() for t in scores.values())
    count = data.draw(st.integers(0, total))
    assert same(keep_largest(scores, count, candidates), naive(scores, count, candidates))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("chunk", [3, 1000])
def test_chunks_do_not_matter(
    dtype: torch.dtype, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topk, "CHUNK", chunk)
    generator = torch.Generator().manual_seed(0)
    scores = {
        "a": torch.randn(5, 7, generator=generator).to(dtype),
        "b": torch.randint(-2, 3, (40,), generator=generator).to(dtype),
        "c": torch.randn(2, 3, 4, generator=generator).to(dtype).permute(2, 0, 1),
    }
    candidates = {n: torch.rand(t.shape, generator=generator) < 0.7 for n, t in scores.items()}
    available = sum(int(c.sum()) for c in candidates.values())
    for count in {0, 1, available // 3, available // 2, available}:
        assert same(keep_largest(scores, count, candidates), naive(scores, count, candidates))


def test_float64_is_told_apart_below_float32() -> None:
    scores = {"a": torch.tensor([1.0, 1.0 + 1e-15, 1.0 - 1e-15], dtype=torch.float64)}
    assert keep_largest(scores, 1)["a"].tolist() == [False, True, False]
    mixed = {"a": torch.tensor([1.0]), "b": torch.tensor([1.0 + 1e-15], dtype=torch.float64)}
    assert keep_largest(mixed, 1)["b"].tolist() == [True]


def test_integers_and_bools_compare_exactly() -> None:
    scores = {"i": torch.tensor([2**31 + 1, 2**31]), "b": torch.tensor([True, False])}
    assert keep_largest(scores, 1)["i"].tolist() == [True, False]
    assert keep_largest(scores, 3)["b"].tolist() == [True, False]


def test_ties_go_to_the_lower_index_across_tensors() -> None:
    scores = {"z": torch.zeros(2, 2), "a": -torch.zeros(3), "m": torch.ones(1)}
    kept = keep_largest(scores, 6)
    assert kept["m"].tolist() == [True]
    assert kept["z"].all()
    assert kept["a"].tolist() == [True, False, False]


def test_extreme_floats_sort_in_order() -> None:
    largest = torch.finfo(torch.float32).max
    tiny = float(np.nextafter(np.float32(0), np.float32(1)))
    ladder = torch.tensor([-largest, -1.0, -tiny, 0.0, tiny, 1.0, largest])
    for count in range(8):
        assert keep_largest({"w": ladder}, count)["w"].tolist() == [
            i >= 7 - count for i in range(7)
        ]


def test_a_large_tensor_against_torch_topk() -> None:
    values = torch.randn(3_000_000, generator=torch.Generator().manual_seed(3))
    kept = keep_largest({"w": values}, 123_457)["w"]
    assert int(kept.sum()) == 123_457
    assert values[kept].min() >= values[~kept].max()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_scores_name_the_parameter(bad: float) -> None:
    scores = {"fine": torch.zeros(3), "conv.weight": torch.zeros(2, 3)}
    scores["conv.weight"][1, 0] = bad
    scores["conv.weight"][1, 2] = bad
    with pytest.raises(UserError, match=r"'conv\.weight': 2 of 6 .*first at \[1, 0\]"):
        keep_largest(scores, 1)
    dropped = {"fine": torch.ones(3).bool(), "conv.weight": torch.isfinite(scores["conv.weight"])}
    assert sum(int(k.sum()) for k in keep_largest(scores, 7, dropped).values()) == 7


def test_bad_arguments() -> None:
    scores = {"w": torch.zeros(3)}
    for count in (-1, 4):
        with pytest.raises(UserError, match=f"cannot keep {count} of 3"):
            keep_largest(scores, count)
    with pytest.raises(UserError, match=r"'w': need shape \[3\], got \[2\]"):
        keep_largest(scores, 1, {"w": torch.ones(2).bool()})
    with pytest.raises(UserError, match=r"'w'.*got none"):
        keep_largest(scores, 1, {})
    with pytest.raises(UserError, match=r"'w' are complex"):
        keep_largest({"w": torch.zeros(2, dtype=torch.complex64)}, 1)


def test_empty_tensors_and_mappings() -> None:
    assert keep_largest({}, 0) == {}
    kept = keep_largest({"e": torch.zeros(0, 4), "s": torch.tensor(2.0)}, 1)
    assert kept["e"].shape == (0, 4)
    assert kept["s"].item() is True


def test_the_scores_are_not_changed_and_gradients_do_not_matter() -> None:
    weight = torch.tensor([3.0, -0.0, 1.0], requires_grad=True)
    before = weight.detach().clone()
    keep_largest({"w": weight}, 2)
    assert torch.equal(weight.detach(), before)
    assert torch.signbit(weight.detach()[1])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(VALUES, max_size=12),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    st.data(),
)
def test_the_largest_of_one_tensor_are_the_same(
    values: list[float], dtype: torch.dtype, data: st.DataObject
) -> None:
    scores = torch.tensor(values, dtype=torch.float64).clamp(-3e38, 3e38).to(dtype)
    count = data.draw(st.integers(0, len(values)))
    assert torch.equal(largest(scores, count), naive({"w": scores}, count)["w"])


def test_the_largest_of_a_tensor_of_any_layout_in_row_major_order() -> None:
    scores = torch.tensor([[1.0, 2.0], [2.0, 2.0], [0.0, 2.0]]).T
    assert not scores.is_contiguous()
    assert largest(scores, 2).tolist() == [[False, True, False], [True, False, False]]
    many = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    for count in (0, 1, 50_000, 99_999, 100_000):
        assert torch.equal(largest(many, count), keep_largest({"w": many}, count)["w"])


def test_whole_numbers_are_compared_as_such() -> None:
    """2²⁴ and 2²⁴ + 1 are one number in float32."""
    scores = {"a": torch.tensor([2**24, 2**24 + 1]), "b": torch.tensor([2**24 - 1])}
    assert keep_largest(scores, 1)["a"].tolist() == [False, True]


def test_faults_are_counted_and_placed_over_all_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topk, "CHUNK", 4)
    scores = torch.arange(15.0).reshape(3, 5)
    scores[1, 2] = scores[2, 4] = float("nan")
    with pytest.raises(UserError, match=r"2 of 15 are NaN or infinite, the first at \[1, 2\]"):
        keep_largest({"w": scores}, 3)
    candidates = torch.ones(3, 5, dtype=torch.bool)
    candidates[1, 2] = False
    with pytest.raises(UserError, match=r"1 of 15 are NaN or infinite, the first at \[2, 4\]"):
        keep_largest({"w": scores}, 3, {"w": candidates})
    candidates[2, 4] = False
    kept = keep_largest({"w": scores}, 3, {"w": candidates})["w"]
    assert kept.nonzero().tolist() == [[2, 1], [2, 2], [2, 3]]
