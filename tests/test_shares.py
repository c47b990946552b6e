"""Counts are exactly round(d · N), whatever type of number says d."""

from __future__ import annotations

import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import winnow as wn
from winnow.allocation import SCOPES, check_density, check_rate, keep_for_density, keep_for_rates
from winnow.errors import UserError
from winnow.patterns.axes import USUAL_AXES
from winnow.patterns.grains import Rows
from winnow.patterns.targets import cell_counts
from winnow.shares import number_of, plain_number, share_of

SMALL = {
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
    "longdouble": np.longdouble,
    "array": lambda d: np.array(d, np.float32),
    "tensor16": lambda d: torch.tensor(d, dtype=torch.float16),
    "bfloat16": lambda d: torch.tensor(d, dtype=torch.bfloat16),
    "tensor32": torch.tensor,
    "parameter": lambda d: nn.Parameter(torch.tensor(d)),
}
HUGE = {"a": (5000, 5000), "b": (600_000,)}  # 25.6 M
SIZES = {"a": 25_000_000, "b": 600_000}


def count(density: object, scope: str = "global") -> int:
    keep = keep_for_density(HUGE, SIZES, density, scope)  # type: ignore[arg-type]
    return keep if isinstance(keep, int) else sum(keep.values())


@pytest.mark.parametrize("kind", SMALL)
def test_a_small_float_is_the_float_that_it_stands_for(kind: str) -> None:
    for k in range(1, 97):
        value = SMALL[kind](k / 97)
        exact = float(value.item() if isinstance(value, torch.Tensor) else value)
        wanted = round(exact * 25_600_000)
        assert count(value) == wanted
        assert share_of(value, 10**9) == round(exact * 10**9)
        assert keep_for_rates(SIZES, value) == 25_600_000 - wanted  # type: ignore[arg-type]
        for scope in ("uniform", "er", "erk"):
            assert count(value, scope) == wanted
        layers = keep_for_density(HUGE, SIZES, value, "layer")  # type: ignore[arg-type]
        assert layers == {n: round(exact * size) for n, size in SIZES.items()}
        named = keep_for_density(HUGE, SIZES, {"a": value})  # type: ignore[dict-item]
        assert named == {"a": round(exact * SIZES["a"]), "b": SIZES["b"]}
        rates = keep_for_rates(SIZES, {"b": value})  # type: ignore[dict-item]
        assert rates == {"a": SIZES["a"], "b": SIZES["b"] - round(exact * SIZES["b"])}


def test_half_precision_neither_rounds_nor_overflows() -> None:
    assert share_of(np.float16(0.06), 100_025) == 6001  # 0.05999755859375
    assert share_of(np.float16(0.5), 10**9) == 5 * 10**8


@pytest.mark.parametrize("kind", [Fraction, Decimal])
def test_fractions_and_decimals_are_exact(kind: type) -> None:
    for text, size, wanted in (("0.1", 25, 2), ("0.29", 50, 14), ("0.57", 50, 28), ("0.35", 10, 4)):
        assert share_of(kind(text), size) == wanted
        assert keep_for_density({"w": (size,)}, {"w": size}, kind(text)) == wanted
        assert keep_for_rates({"w": size}, kind(text)) == size - wanted
    third = Fraction(1, 3)
    assert share_of(third, 3 * 10**18) == 10**18


def test_whole_numbers_are_densities_too() -> None:
    for one in (1, np.int64(1), np.uint8(1), torch.tensor(1), Fraction(1), Decimal(1), 1.0):
        assert count(one) == 25_600_000
        assert type(plain_number(one)) in (int, float)
    for none in (0, np.int8(0), torch.tensor(0), -0.0, np.float32(-0.0)):
        assert count(none) == 0


NO_NUMBERS = [
    *(True, np.True_, torch.tensor(True), np.array(True)),
    *("0.5", b"0.5", None, [0.5], (0.5,), {0.5}, 0.5 + 0j, np.complex64(0.5)),
    *(torch.tensor([0.5]), np.array([0.5]), torch.tensor(0.5 + 0j)),
    torch.tensor(0.5, device="meta"),
    *(float("nan"), float("inf"), -float("inf"), np.float32("nan"), np.float16("inf")),
    *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), torch.tensor(float("nan"))),
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused_with_its_value(value: object) -> None:
    assert number_of(value) is None
    for check in (check_density, check_rate):
        with pytest.raises(UserError) as caught:
            check(value, "w")
        assert repr(value) in str(caught.value)
    for ask in (
        lambda: wn.prune({"w": torch.rand(9)}, density=value),  # type: ignore[arg-type]
        lambda: wn.prune({"w": torch.rand(9)}, density={"w": value}),  # type: ignore[dict-item]
        lambda: wn.prune({"w": torch.rand(9)}, rates={"w": value}),  # type: ignore[dict-item]
        lambda: wn.prune({"w": torch.rand(3, 3)}, density={"w": value}, scope="row"),  # type: ignore[dict-item]
    ):
        with pytest.raises(UserError):
            ask()


@pytest.mark.parametrize("value", [1.5, -0.1, Fraction(10**30 + 1, 10**30), Decimal("-1e-30")])
def test_out_of_range_by_however_little(value: object) -> None:
    with pytest.raises(UserError, match="density is"):
        check_density(value)


def test_rows_of_a_mask() -> None:
    mask = torch.ones(4, 1001, dtype=torch.bool)
    mask[1, :500] = False
    axes = {"w": USUAL_AXES}
    for value in (np.float32(0.3), torch.tensor(0.3), Fraction(3, 10)):
        exact = value if isinstance(value, Fraction) else float(value)
        found = cell_counts(Rows(), {"w": (4, 1001)}, {"w": mask}, None, value, axes)["w"]  # type: ignore[arg-type]
        left = [1001, 501, 1001, 1001]
        assert torch.as_tensor(found).flatten().tolist() == [n - round(exact * n) for n in left]
        found = cell_counts(Rows(), {"w": (4, 1001)}, None, value, None, axes)["w"]  # type: ignore[arg-type]
        assert found == round(exact * 1001)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("kind", [*SMALL.values(), Fraction, Decimal], ids=[*SMALL, "frac", "dec"])
def test_masks_of_every_scope(scope: str, kind: type) -> None:
    """The mask of a number of another type is that of the same number as a float."""
    torch.manual_seed(0)
    scores = {"a": torch.rand(20, 31), "b": torch.rand(11, 20)}
    value = kind(0.3125)  # exact in every type
    assert wn.prune(scores, density=value, scope=scope) == wn.prune(
        scores, density=0.3125, scope=scope
    )
    if scope in ("global", "layer", "row"):
        rates = wn.prune(scores, rates=value, scope=scope)
        assert rates == wn.prune(scores, rates=0.3125, scope=scope)
    blocks = wn.prune({"a": scores["a"][:, :30]}, density=value, block=(2, 3))
    assert blocks == wn.prune({"a": scores["a"][:, :30]}, density=0.3125, block=(2, 3))


@pytest.mark.parametrize("kind", [*SMALL.values(), Fraction, Decimal], ids=[*SMALL, "frac", "dec"])
def test_algorithms_take_them(kind: type) -> None:
    model = nn.Sequential(nn.Linear(20, 31), nn.ReLU(), nn.Linear(31, 4))
    value, whole = kind(0.3125), 31 * 24
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert wn.prune_at_init(model, "magnitude", density=value).kept == round(0.3125 * whole)
        assert (
            wn.prune_at_init(model, "magnitude", density=value, rounds=3).kept
            == round(0.3125 * whole)
        )  # fmt: skip
    for method, every in (("set", {"every": "10it"}), ("gradual", {})):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with wn.dynamic(
            model, method, optimizer=optimizer, density=value, steps="100it", **every
        ) as training:
            if method == "set":
                assert training.mask.kept == round(0.3125 * training.mask.size)
