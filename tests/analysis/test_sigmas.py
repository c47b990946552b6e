"""Histograms in units of σ: against numpy's, and for a normal distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from winnow.analysis import SigmaHistogram, sigma_histograms, sigma_middles
from winnow.mask import Mask

EDGES = np.linspace(-8, 8, 65)


def test_bins_are_those_documented():
    middles = np.array(sigma_middles())
    np.testing.assert_allclose(middles, (EDGES[:-1] + EDGES[1:]) / 2)


def test_counts_are_those_of_numpy():
    generator = torch.Generator().manual_seed(3)
    initial = {"a": torch.randn(50, 40, generator=generator) * 0.07 + 0.01}
    values = {"a": initial["a"] * 5}
    keep = Mask({"a": torch.rand(50, 40, generator=generator) < 0.3})
    found = sigma_histograms(values, initial, keep)["a"]
    scaled = values["a"].double().numpy() / initial["a"].double().numpy().std()
    expected, _ = np.histogram(scaled[keep["a"].numpy()], EDGES)
    assert found.counts == tuple(expected)
    assert found.outside == keep.kept - expected.sum() > 0


def test_a_normal_distribution():
    generator = torch.Generator().manual_seed(4)
    initial = {"a": torch.randn(200_000, generator=generator) * 0.3}
    found = sigma_histograms(initial, initial, Mask.dense(initial))["a"]
    np.testing.assert_allclose(found.densities, norm.pdf(sigma_middles()), atol=0.01)
    assert sum(found.densities) * 0.25 == pytest.approx(1)


def test_survivors_of_magnitude_pruning_leave_a_hole_at_zero():
    generator = torch.Generator().manual_seed(5)
    initial = {"a": torch.randn(10_000, generator=generator)}
    keep = Mask({"a": initial["a"].abs() > 1})
    densities = dict(zip(sigma_middles(), sigma_histograms(initial, initial, keep)["a"].densities,
                         strict=True))  # fmt: skip
    assert densities[0.125] == densities[-0.625] == 0
    assert densities[1.125] > densities[2.125] > 0


def test_edges_belong_to_the_upper_bin():
    initial = {"a": torch.tensor([-1.0, 1.0])}  # σ = 1
    values = {"a": torch.tensor([0.25, 8.0])}
    found = sigma_histograms(values, initial, Mask.dense(initial))["a"]
    assert (found.counts.index(1), sum(found.counts), found.outside) == (33, 1, 1)


def test_layers_add_up_each_in_its_own_unit():
    initial = {"a": torch.tensor([-1.0, 1.0]), "b": torch.tensor([-10.0, 10.0])}
    a, b = sigma_histograms(initial, initial, Mask.dense(initial)).values()
    assert a == b
    both = SigmaHistogram.total([a, b])
    assert (both.counts[36], sum(both.counts)) == (2, 4)  # 1 σ of each
    assert both.densities == a.densities


def test_a_layer_without_a_spread_is_all_outside():
    initial = {"a": torch.ones(3)}
    found = sigma_histograms(initial, initial, Mask.dense(initial))["a"]
    assert (sum(found.counts), found.outside) == (0, 3)
    assert not any(found.densities)


def test_weights_of_another_network_are_refused():
    with pytest.raises(ValueError, match="another network"):
        sigma_histograms(
            {"a": torch.ones(3)}, {"a": torch.ones(2)}, Mask({"a": torch.ones(3).bool()})
        )
