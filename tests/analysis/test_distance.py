"""Distances and angles between weights: vectors whose geometry is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from winnow.analysis import layer_distances, weight_distance
from winnow.mask import Mask


def weights(**layers):
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in layers.items()}


def mask(**layers):
    return Mask({name: torch.tensor(bits, dtype=torch.bool) for name, bits in layers.items()})


def test_a_right_angle():
    found = weight_distance(weights(a=[3.0, 0]), weights(a=[0, 4.0]), mask(a=[1, 1]))
    assert (found.distance, found.angle, found.cosine) == pytest.approx((5.0, 90.0, 0.0), abs=1e-12)
    assert (found.norm_first, found.norm_second) == (3.0, 4.0)


def test_only_what_the_mask_keeps_counts():
    one, other = weights(a=[3.0, 0, 7], bias=[1.0]), weights(a=[0, 4.0, -9], bias=[5.0])
    assert weight_distance(one, other, mask(a=[1, 1, 0])).distance == 5
    assert weight_distance(one, other, mask(a=[1, 1, 1])).distance == math.sqrt(25 + 256)


def test_layers_are_parts_of_one_vector():
    generator = torch.Generator().manual_seed(1)
    one, other = ({n: torch.randn(20, generator=generator) for n in ("a", "b")} for _ in range(2))
    keep = Mask({n: torch.rand(20, generator=generator) < 0.5 for n in ("a", "b")})
    u, v = (
        torch.cat([w[n].double() * keep[n] for n in ("a", "b")]).reshape(1, -1)
        for w in (one, other)
    )
    found = weight_distance(one, other, keep)
    assert found.distance == pytest.approx(float(torch.dist(u, v)))
    cosine = float(cosine_similarity(u, v))
    assert found.cosine == pytest.approx(cosine)
    assert found.angle == pytest.approx(math.degrees(math.acos(cosine)))
    layers = layer_distances(one, other, keep)
    assert math.hypot(*(layer.distance for layer in layers.values())) == pytest.approx(
        found.distance
    )
    alone = {n: weight_distance({n: one[n]}, {n: other[n]}, Mask({n: keep[n]})) for n in ("a", "b")}
    assert layers == alone


@pytest.mark.parametrize("angle", [1e-6, 0.5, 89.0, 179.999999])
def test_small_angles_keep_their_digits(angle):
    turned = torch.tensor([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    exact = {"a": turned.double()}
    exact["a"][0] = math.cos(math.radians(angle))
    exact["a"][1] = math.sin(math.radians(angle))
    start = {"a": torch.tensor([2.0, 0.0], dtype=torch.float64)}
    found = weight_distance(start, exact, mask(a=[1, 1]))
    assert found.angle == pytest.approx(angle, rel=1e-8)


def test_equal_and_opposite():
    one = weights(a=[0.1, 0.2, -0.3])
    opposite = {"a": -2 * one["a"]}
    same = weight_distance(one, one, mask(a=[1, 1, 1]))
    assert (same.distance, same.angle, same.cosine) == (0, 0, pytest.approx(1))
    assert weight_distance(one, opposite, mask(a=[1, 1, 1])).angle == pytest.approx(180)


def test_a_vector_of_zeros_has_a_distance_and_no_angle():
    found = weight_distance(weights(a=[3.0, 4]), weights(a=[0.0, 0]), mask(a=[1, 1]))
    assert found.distance == 5
    assert math.isnan(found.angle)
    assert math.isnan(found.cosine)


def test_weights_of_another_network_are_refused():
    one, other = weights(a=[1.0, 2]), weights(a=[1.0, 2, 3])
    for pair in ((one, other), (other, one)):
        with pytest.raises(ValueError, match="another network"):
            weight_distance(*pair, mask(a=[1, 1]))
