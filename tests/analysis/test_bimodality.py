"""Two modes, against closed forms and made-up histograms."""

from __future__ import annotations

import math

import pytest
import torch

from winnow.analysis import bimodality_coefficient, layer_two_modes, two_modes, valley
from winnow.mask import Mask

QUANTILES = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
NORMAL = math.sqrt(2) * torch.erfinv(2 * QUANTILES - 1)  # a sample without chance


def test_closed_forms_of_the_coefficient() -> None:
    assert bimodality_coefficient(NORMAL) == pytest.approx(1 / 3, rel=1e-3)
    assert bimodality_coefficient(QUANTILES) == pytest.approx(5 / 9, rel=1e-8)
    assert bimodality_coefficient(torch.tensor([-1.0, 1.0, -1.0, 1.0])) == pytest.approx(1)
    exponential = -torch.log1p(-QUANTILES)  # skewness 2, kurtosis 9
    assert bimodality_coefficient(exponential) == pytest.approx(5 / 9, rel=5e-3)
    skewed = torch.tensor([0.0, 0.0, 0.0, 1.0])  # two points are 1 whatever they weigh
    assert bimodality_coefficient(skewed) == pytest.approx(1)


def test_two_normal_heaps_pass_the_bound_at_3_7_of_their_deviations() -> None:
    for half, beyond in ((1.84, False), (1.87, True)):  # 4μ⁴ - 12μ² - 6 = 0 at μ = 1.854
        both = torch.cat([NORMAL - half, NORMAL + half])
        assert (bimodality_coefficient(both) > 5 / 9) == beyond


def test_the_coefficient_has_no_unit_and_no_place() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values = values + 0.3 * values.square()
    known = bimodality_coefficient(values)
    for scale in (1e-60, 1e60):
        assert bimodality_coefficient(scale * values) == pytest.approx(known)
    assert bimodality_coefficient(values.reshape(10, 100) - 7) == pytest.approx(known)


@pytest.mark.parametrize("values", [torch.empty(0), torch.ones(5), torch.ones(1)])
def test_without_spread_there_is_no_coefficient(values) -> None:
    assert math.isnan(bimodality_coefficient(values))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((1, 4, 8, 8, 4, 1), 1.0),
        ((1, 8, 2, 2, 6, 1), 2 / 6),
        ((1, 8, 0, 4, 6, 1), 2 / 6),
        ((5, 0, 0, 0, 0, 9), 0.0),
        ((0, 0, 0, 3, 1, 0), 1.0),  # one side is empty
        ((2, 2, 2, 2, 2, 2), 1.0),
        ((1, 5, 3, 9, 2, 0), 1.0),  # the mean of the middle is above the lower peak
    ],
)
def test_valleys_by_hand(counts, expected) -> None:
    assert valley(counts) == pytest.approx(expected)


def test_an_empty_histogram_has_no_valley() -> None:
    assert math.isnan(valley((0, 0, 0, 0)))


def split(threshold: float) -> tuple[dict[str, torch.Tensor], Mask]:
    """Normal weights of two layers of other scales, of which the large ones are kept."""
    initial = {"a": 0.05 * NORMAL.reshape(400, 500), "b": 3 * NORMAL[::20]}
    keep = {"a": initial["a"].abs() >= 0.05 * threshold, "b": initial["b"].abs() >= 3 * threshold}
    return initial, Mask(keep)


def test_normal_weights_have_one_mode_and_the_large_ones_two() -> None:
    for threshold, valley_, coefficient in ((0.0, 1.0, 1 / 3), (1.0, 0.0, None)):
        initial, mask = split(threshold)
        for found in (two_modes(initial, mask), *layer_two_modes(initial, mask).values()):
            assert found.valley == pytest.approx(valley_, abs=0.01)
            assert found.positive == pytest.approx(0.5, abs=1e-3)
            if coefficient:
                assert found.coefficient == pytest.approx(coefficient, rel=5e-3)
    # of normal values beyond t: m₂ = 1 + t·h, m₄ = 3 + (t³ + 3t)·h with h = φ(t) / Q(t)
    hazard = math.exp(-0.5) / math.sqrt(2 * math.pi) / (0.5 * math.erfc(math.sqrt(0.5)))
    expected = (1 + hazard) ** 2 / (3 + 4 * hazard)
    assert two_modes(*split(1.0)).coefficient == pytest.approx(expected, rel=5e-3)


def test_positive_ones_are_counted() -> None:
    initial = {"a": torch.tensor([-1.0, 2.0, 3.0, 0.0, -4.0])}
    mask = Mask({"a": torch.tensor([True, True, True, True, False])})
    assert layer_two_modes(initial, mask)["a"].positive == 0.5
    none = Mask({"a": torch.zeros(5, dtype=torch.bool)})
    found = two_modes(initial, none)
    assert all(math.isnan(v) for v in (found.coefficient, found.valley, found.positive))


def test_a_layer_of_equal_weights_is_left_out_of_the_whole() -> None:
    initial, mask = split(1.0)
    more = {**initial, "c": torch.full((7,), 0.2)}
    wider = Mask({**mask, "c": torch.ones(7, dtype=torch.bool)})
    assert two_modes(more, wider) == two_modes(initial, mask)
    assert math.isnan(layer_two_modes(more, wider)["c"].coefficient)


def test_a_mask_of_another_network_is_refused() -> None:
    initial, _ = split(0.0)
    with pytest.raises(ValueError, match="z"):
        two_modes(initial, Mask({"z": torch.ones(3, dtype=torch.bool)}))
