"""Counts: exact totals, ERK's closed form, and what cannot be reached."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.allocation import (
    apportion,
    check_least,
    er,
    erk,
    keep_for_density,
    keep_for_rates,
)
from winnow.errors import UserError

LENET = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}
FULL = {name: math.prod(shape) for name, shape in LENET.items()}
SHAPES = st.dictionaries(
    st.sampled_from("abcdef"),
    st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    min_size=1,
)


def sizes_of(shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
    return {name: math.prod(shape) for name, shape in shapes.items()}


def test_global_and_layer() -> None:
    assert keep_for_density(LENET, FULL, 0.05) == round(0.05 * 266_200) == 13_310
    expected = {"fc1": 11_760, "fc2": 1_500, "fc3": 50}
    assert keep_for_density(LENET, FULL, 0.05, "layer") == expected


def test_halves_round_to_even() -> None:
    assert keep_for_density({"w": (5,)}, {"w": 5}, 0.5) == 2
    assert keep_for_density({"w": (7,)}, {"w": 7}, 0.5) == 4


@settings(deadline=None)
@given(SHAPES, st.floats(0, 1), st.sampled_from(["uniform", "er", "erk"]))
def test_totals_are_exact(shapes: dict[str, tuple[int, ...]], density: float, scope: str) -> None:
    full = sizes_of(shapes)
    keep = keep_for_density(shapes, full, density, scope)
    assert isinstance(keep, dict)
    assert sum(keep.values()) == round(density * sum(full.values()))
    assert all(0 <= keep[name] <= full[name] for name in full)
    if scope == "uniform":
        assert all(abs(keep[name] - density * full[name]) < 1 + 1e-5 for name in full)


@settings(deadline=None)
@given(
    SHAPES, st.lists(st.floats(0, 1), min_size=2, max_size=6), st.sampled_from(["uniform", "erk"])
)
def test_a_chain_of_falling_densities_never_gets_stuck(
    shapes: dict[str, tuple[int, ...]], densities: list[float], scope: str
) -> None:
    alive = sizes_of(shapes)
    total = sum(alive.values())
    for density in sorted(densities, reverse=True):
        keep = keep_for_density(shapes, alive, density, scope)
        assert isinstance(keep, dict)
        assert all(keep[name] <= alive[name] for name in alive)
        assert sum(keep.values()) == round(density * total)
        alive = keep


def test_equal_remainders_go_to_the_earlier_name() -> None:
    shapes = {"z": (5,), "a": (5,), "m": (5,)}
    assert keep_for_density(shapes, sizes_of(shapes), 0.5, "uniform") == {"z": 3, "a": 3, "m": 2}
    exact = {"z": (100,), "a": (100,)}  # 0.29 · 100 is 28.999999999999996
    assert keep_for_density(exact, sizes_of(exact), 0.29, "uniform") == {"z": 29, "a": 29}


def test_erk_is_proportional_to_the_sum_over_the_product_of_the_shape() -> None:
    shapes = {"conv": (64, 32, 3, 3), "conv2": (64, 64, 3, 3), "fc": (10, 64)}
    kept = erk(shapes, 0.1)
    dense = {"fc"}  # computed by hand: 0.1·55936 / (102 + 134 + 74) · 74/640 > 1
    factor = (0.1 * 55_936 - 640) / (102 + 134)
    assert {n for n in shapes if kept[n] == math.prod(shapes[n])} == dense
    assert kept["conv"] == pytest.approx(factor * 102)
    assert kept["conv2"] == pytest.approx(factor * 134)
    assert sum(kept.values()) == pytest.approx(0.1 * 55_936)


@given(SHAPES, st.floats(0.01, 1))
def test_erk_keeps_its_definition(shapes: dict[str, tuple[int, ...]], density: float) -> None:
    kept, full = erk(shapes, density), sizes_of(shapes)
    factors = [kept[n] / sum(shapes[n]) for n in shapes if kept[n] < full[n] - 1e-9]
    assert factors == pytest.approx([factors[0]] * len(factors)) if factors else True
    assert sum(kept.values()) == pytest.approx(density * sum(full.values()))
    for name in shapes:
        assert kept[name] <= full[name] + 1e-9
        if kept[name] == full[name] and factors:  # saturated: its own share would be more
            assert factors[0] * sum(shapes[name]) >= full[name] - 1e-6


def test_densities_by_name() -> None:
    assert keep_for_density(LENET, FULL, {"fc1": 0.01}) == {**FULL, "fc1": 2_352}


def test_rates_remove_a_fraction_of_the_survivors() -> None:
    alive = {"a": 100, "b": 7}
    assert keep_for_rates(alive, 0.2) == 107 - 21
    assert keep_for_rates(alive, 0.2, "layer") == {"a": 80, "b": 6}
    assert keep_for_rates(alive, {"a": 0.1}) == {"a": 90, "b": 7}
    assert keep_for_rates(alive, 0) == 107


@pytest.mark.parametrize("density", [1.5, -0.1, math.nan, "0.5", None, True])
def test_bad_density(density: object) -> None:
    with pytest.raises(UserError, match=r"density is .*from 0 to 1"):
        keep_for_density(LENET, FULL, density)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="density of 'fc1'"):
        keep_for_density(LENET, FULL, {"fc1": density})  # type: ignore[dict-item]


@pytest.mark.parametrize("rate", [1, 1.0, -0.2, math.nan, "0.2"])
def test_bad_rate(rate: object) -> None:
    with pytest.raises(UserError, match=r"rate is .*below 1"):
        keep_for_rates(FULL, rate)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="rate of 'fc1'"):
        keep_for_rates(FULL, {"fc1": rate})  # type: ignore[dict-item]


def test_scopes() -> None:
    with pytest.raises(UserError, match=r"unknown scope 'globl'.*'global'"):
        keep_for_density(LENET, FULL, 0.5, "globl")
    for scope in ("uniform", "erk"):
        with pytest.raises(UserError, match="needs a density"):
            keep_for_rates(FULL, 0.2, scope)


def test_removed_weights_never_return() -> None:
    alive = {"fc1": 1000, "fc2": 30_000, "fc3": 1_000}
    with pytest.raises(UserError, match=r"cannot keep 133100 of 266200.*0 to 0\.12021\."):
        keep_for_density(LENET, alive, 0.5)
    for scope in ("layer", "uniform", "erk"):
        with pytest.raises(UserError, match=r"'fc1'.*has 1000 left"):
            keep_for_density(LENET, alive, 0.1, scope)
    with pytest.raises(UserError, match=r"'fc1'.*Reachable"):
        keep_for_density(LENET, alive, {"fc1": 0.5})
    for scope in ("uniform", "er", "erk"):  # each layer has enough for its share, all have not
        with pytest.raises(UserError, match=r"cannot keep 3 of 10 weights: the mask has 2 left"):
            keep_for_density({"a": (5,), "b": (5,)}, {"a": 1, "b": 1}, 0.3, scope)


def test_er_counts_channels_only() -> None:
    """Mocanu et al., equation 3: density ∝ (inputs + outputs) / (inputs · outputs)."""
    shapes = {"conv": (64, 32, 3, 3), "fc": (100, 200), "bias": (7,)}
    kept = er(shapes, 0.01)
    density = {name: kept[name] / math.prod(shape) for name, shape in shapes.items()}
    share = {"conv": (64 + 32) / (64 * 32), "fc": (100 + 200) / (100 * 200), "bias": 7 / 7}
    factor = density["conv"] / share["conv"]
    assert density == pytest.approx({name: factor * own for name, own in share.items()})
    assert sum(kept.values()) == pytest.approx(0.01 * (18_432 + 20_000 + 7))
    whole = keep_for_density(shapes, sizes_of(shapes), 0.01, "er")
    assert isinstance(whole, dict)
    assert all(abs(whole[name] - kept[name]) < 1 for name in shapes)
    assert whole != keep_for_density(shapes, sizes_of(shapes), 0.01, "erk")
    assert er({"none": (0, 3)}, 0.5) == {"none": 0.0}


def test_layers_round_for_themselves() -> None:
    shapes = {"a": (5,), "b": (5,), "c": (5,)}
    assert keep_for_density(shapes, sizes_of(shapes), 0.5, "layer") == {"a": 2, "b": 2, "c": 2}
    assert sum(keep_for_density(shapes, sizes_of(shapes), 0.5, "uniform").values()) == 8  # type: ignore[union-attr]


def test_a_full_tensor_passes_its_turn_on() -> None:
    quotas, caps = {"a": 1.9, "b": 1.6, "c": 1.5}, {"a": 1, "b": 2, "c": 9}
    assert apportion(quotas, 5, caps) == {"a": 1, "b": 2, "c": 2}


def test_rates_know_the_scopes_of_densities_and_no_others() -> None:
    with pytest.raises(UserError, match=r"unknown scope 'lyer'.*'layer'"):
        keep_for_rates(FULL, {"fc1": 0.1}, "lyer")


def test_least_of_all_weights_and_of_each_layer() -> None:
    sizes = {"a": 10, "b": 2}
    for keep, least in ((5, 3), (12, 9), ({"a": 3, "b": 2}, 3), ({"a": 0, "b": 0}, 0)):
        check_least(keep, sizes, least)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="least is 3, which takes 5 weights in 2 layers, but 4 are"):
        check_least(4, sizes, 3)
    with pytest.raises(UserError, match="least is 3, but a is to keep 2 weights"):
        check_least({"a": 2, "b": 2}, sizes, 3)
    for wrong in (-1, True, 1.5, "1"):
        with pytest.raises(UserError, match=f"floor is {wrong!r}: give the number"):
            check_least(12, sizes, wrong, "floor")  # type: ignore[arg-type]
