"""From scores to masks: exact counts, nothing revived, errors with names."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import winnow as wn
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.pruning import LayerCollapse, collapse_told, prune_to
from winnow.ties import TiedScores

SHAPES = {"conv.weight": (4, 3, 3, 3), "fc.weight": (10, 7), "out.weight": (3, 10)}
SIZE = 108 + 70 + 30


def scores(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(shape, generator=generator) for name, shape in SHAPES.items()}


@settings(deadline=None, max_examples=60)
@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from(["global", "layer", "uniform", "erk"]),
    st.integers(0, 3),
)
def test_counts_are_exact_and_nothing_returns(a: float, b: float, scope: str, levels: int) -> None:
    high, low = max(a, b), min(a, b)
    found = {n: t if levels == 0 else (t * levels).round() for n, t in scores().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LayerCollapse)
        warnings.simplefilter("ignore", TiedScores)
        first = wn.prune(found, density=high, scope=scope)
        flipped = {n: t.flip(0) for n, t in found.items()}
        second = wn.prune(flipped, density=low, scope=scope, mask=first)
    assert second.is_subset(first)
    for mask, density in ((first, high), (second, low)):
        if scope == "layer":
            counts = {n: round(density * t.numel()) for n, t in found.items()}
            assert mask.kept_per_layer == counts
        else:
            assert mask.kept == round(density * SIZE)


def test_the_largest_stay_globally() -> None:
    found = scores()
    mask = wn.prune(found, density=0.3)
    values = torch.cat([t.flatten() for t in found.values()])
    threshold = values.sort(descending=True).values[round(0.3 * SIZE) - 1]
    assert all(torch.equal(mask[n], found[n] >= threshold) for n in found)
    assert list(mask) == list(found)


def test_rates_are_relative_to_the_survivors() -> None:
    mask, left = None, SIZE
    for _ in range(5):
        mask = wn.prune(scores(), rates=0.2, mask=mask)
        left -= round(0.2 * left)
        assert mask.kept == left
    layers = wn.prune(scores(), rates=0.2, scope="layer")
    assert layers.kept_per_layer == {"conv.weight": 86, "fc.weight": 56, "out.weight": 24}


def test_rates_by_pattern_leave_the_others_alone() -> None:
    mask = wn.prune(scores(), rates={"out.weight": 0.1, "re:(fc|out).*": 0.5})
    assert mask.kept_per_layer == {"conv.weight": 108, "fc.weight": 35, "out.weight": 27}


def test_densities_by_pattern() -> None:
    before = wn.prune(scores(), density=0.5, scope="layer")
    mask = wn.prune(scores(), density={"fc*": 0.1}, mask=before)
    assert mask.kept_per_layer == {"conv.weight": 54, "fc.weight": 7, "out.weight": 15}


def test_ignored_names_are_left_out_or_carried_over() -> None:
    mask = wn.prune(scores(), density=0.5, ignore="out.*")
    assert list(mask) == ["conv.weight", "fc.weight"]
    assert mask.kept == round(0.5 * 178)
    before = wn.prune(scores(), density=0.9, scope="layer")
    carried = wn.prune(scores(), density=0.5, ignore=["out.weight"], mask=before)
    assert torch.equal(carried["out.weight"], before["out.weight"])
    assert list(carried) == list(before)
    assert carried.kept == 89 + 27
    only = {n: t for n, t in scores().items() if n != "out.weight"}
    assert wn.prune(only, density=0.5, ignore="out.weight", mask=before)["out.weight"].sum() == 27


def test_arrays_and_other_dtypes() -> None:
    arrays = {n: t.numpy() for n, t in scores().items()}
    assert wn.prune(arrays, density=0.2) == wn.prune(scores(), density=0.2)
    frozen = np.arange(6)[::-1]
    frozen.flags.writeable = False
    assert wn.prune({"w": frozen}, density=0.5)["w"].tolist() == [True] * 3 + [False] * 3
    assert wn.prune({"w": [1.0, 2.0]}, density=0.5)["w"].tolist() == [False, True]
    with pytest.raises(UserError, match="'w' are no tensor"):
        wn.prune({"w": np.array(["a"])}, density=0.5)


def test_scores_of_removed_weights_may_be_anything() -> None:
    found = {"w": torch.tensor([1.0, torch.nan, 3.0, 2.0])}
    mask = Mask({"w": torch.tensor([True, False, True, True])})
    assert wn.prune(found, density=0.5, mask=mask)["w"].tolist() == [False, False, True, True]
    with pytest.raises(ValueError, match=r"'w': 1 of 4 .*first at \[1\]"):
        wn.prune(found, density=0.5)
    with pytest.raises(ValueError, match="'w'"):
        wn.prune(found, density=1.0)


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({}, "got neither"),
        ({"density": 0.5, "rates": 0.2}, "got both"),
        ({"density": 1.5}, r"density is 1\.5"),
        ({"rates": 1.0}, r"rate is 1\.0"),
        ({"density": 0.5, "scope": "locl"}, "unknown scope 'locl'"),
        ({"rates": {"f*": 0.2, "fz": 0.1}}, "unknown parameter 'fz'"),
        ({"density": 0.5, "ignore": "*"}, "all are ignored"),
        ({"density": 0.5, "ignore": "x"}, "unknown parameter 'x'"),
    ],
)
def test_bad_input(given_: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        wn.prune(scores(), **given_)  # type: ignore[arg-type]


def test_unreachable_densities_give_the_range() -> None:
    before = wn.prune(scores(), density=0.25)
    with pytest.raises(UserError, match=r"cannot keep 104 of 208.*52 left.*0 to 0\.25"):
        wn.prune(scores(), density=0.5, mask=before)


def test_a_mask_of_other_scores() -> None:
    ones = {n: torch.ones(s).bool() for n, s in SHAPES.items()}
    for other, said in (
        ({n: m for n, m in ones.items() if n != "fc.weight"}, "'fc.weight' has no mask"),
        ({**ones, "x": torch.ones(1).bool()}, "'x' has no scores"),
        ({**ones, "fc.weight": torch.ones(7, 10).bool()}, r"scores \[10, 7\], mask \[7, 10\]"),
    ):
        with pytest.raises(UserError, match=said):
            wn.prune(scores(), density=0.5, mask=other)


def test_prune_to() -> None:
    assert prune_to(scores(), 50) == wn.prune(scores(), density=50 / SIZE)
    before = wn.prune(scores(), density=0.5, scope="layer")
    mask = prune_to(scores(), {"fc.weight": 5}, before)
    assert mask.kept_per_layer == {"conv.weight": 54, "fc.weight": 5, "out.weight": 15}
    assert mask.is_subset(before)
    with pytest.raises(UserError, match="cannot keep 36 of 35"):
        prune_to(scores(), {"fc.weight": 36}, before)
    with pytest.raises(UserError, match=r"counts for \['x'\]"):
        prune_to(scores(), {"x": 1})
    with pytest.raises(UserError, match="has no mask"):
        prune_to(scores(), 5, Mask({}))


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 1), st.integers(0, 3), st.sampled_from(["global", "layer", "erk"]))
def test_layers_that_lose_their_last_weights_are_named_once(
    density: float, levels: int, scope: str
) -> None:
    found = {n: t * 10.0**-k for k, (n, t) in enumerate(scores(levels).items())}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        mask = wn.prune(found, density=density, scope=scope)
        again = wn.prune(found, rates=0.0, mask=mask)
    lost = [n for n, kept in mask.kept_per_layer.items() if kept == 0]
    assert again == mask
    assert len(told) == bool(lost)
    for one in told:
        assert one.category is LayerCollapse
        assert one.filename == __file__
        assert f"no weight is left in {', '.join(lost)}. least=1 protects them." in str(one.message)


def test_least_keeps_what_collapse_would_take() -> None:
    found = {n: t * 1e-9 if n == "out.weight" else t for n, t in scores().items()}
    with pytest.warns(LayerCollapse, match=r"left in out\.weight\. least=1"):
        assert wn.prune(found, density=0.1)["out.weight"].sum() == 0
    protected = wn.prune(found, density=0.1, least=1)  # warnings are errors here
    assert protected.kept == round(0.1 * SIZE)
    assert protected["out.weight"].sum() == 1


def test_least_in_exact_numbers() -> None:
    tensors = {"a": torch.arange(6.0), "b": torch.arange(3.0) - 9}
    assert prune_to(tensors, 2).kept_per_layer == {"a": 2, "b": 0}
    assert prune_to(tensors, 4, least=2).kept_per_layer == {"a": 2, "b": 2}
    assert prune_to(tensors, 6, least=2).kept_per_layer == {"a": 4, "b": 2}
    with pytest.raises(UserError, match=r"cannot keep 3 of 9 weights with least=2 .* takes 4"):
        prune_to(tensors, 3, least=2)
    assert prune_to(tensors, {"a": 2, "b": 2}, least=2).kept_per_layer == {"a": 2, "b": 2}
    with pytest.raises(UserError, match="'b' is to keep 1 weights, below least=2"):
        prune_to(tensors, {"a": 2, "b": 1}, least=2)
    for wrong in (-1, True, 1.5):
        with pytest.raises(UserError, match=f"least is {wrong!r}: give the number"):
            prune_to(tensors, 4, least=wrong)  # type: ignore[arg-type]


def test_least_under_a_mask_protects_what_is_left() -> None:
    tensors = {"a": torch.arange(6.0), "b": torch.arange(3.0) - 9}
    before = Mask({"a": torch.ones(6, dtype=torch.bool), "b": torch.tensor([True, False, False])})
    mask = prune_to(tensors, 4, before, least=2)
    assert mask.kept_per_layer == {"a": 3, "b": 1}
    assert mask.is_subset(before)


def test_five_collapsed_layers_are_named() -> None:
    assert "left in a, b, c, d, e. least" in collapse_told([*"abcde"])
    assert "left in a, b, c, d, e and 1 more. least" in collapse_told([*"abcdef"])
