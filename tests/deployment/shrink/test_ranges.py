"""Ranges of channels, against values drawn from them."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from winnow.deployment.shrink.ranges import Range, added, anything, either, multiplied, weighted

inf = torch.inf


def drawn_range(count: int, generator: torch.Generator) -> Range:
    """Ranges of all kinds: constants, zeros, half and wholly open ones."""
    low = torch.randn(count, dtype=torch.float64, generator=generator)
    high = low + torch.rand(count, dtype=torch.float64, generator=generator)
    kind = torch.randint(0, 6, (count,), generator=generator)
    high[kind == 0] = low[kind == 0]
    low[kind == 1], high[kind == 1] = 0, 0
    low[kind == 2] = -inf
    high[kind == 3] = inf
    return Range(low, high)


def draw(given: Range, generator: torch.Generator, *shape: int) -> Tensor:
    """Values (…, C) inside, those of open sides up to 100 away."""
    low = torch.where(given.low.isfinite(), given.low, given.high.nan_to_num(0, 50, 0) - 100)
    high = torch.where(given.high.isfinite(), given.high, low + 100)
    share = torch.rand(*shape, len(given), dtype=torch.float64, generator=generator)
    share = share.masked_fill(share < 0.2, 0).masked_fill(share > 0.8, 1)  # the ends too
    return low + share * (high - low)


def assert_inside(values: Tensor, given: Range) -> None:
    assert bool(((values >= given.low - 1e-9) & (values <= given.high + 1e-9)).all())


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), groups=st.integers(1, 3), biased=st.booleans())
def test_a_layer_stays_inside_and_what_is_constant_is_exact(
    seed: int, groups: int, biased: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(groups, 4, 3, 2, dtype=torch.float64, generator=generator)
    weight *= torch.rand(weight.shape, generator=generator) < 0.4
    bias = torch.randn(groups * 4, dtype=torch.float64, generator=generator) if biased else None
    given_ = drawn_range(groups * 3, generator)
    found = weighted(weight, bias, given_)
    values = draw(given_, generator, 50, 2)  # other values for each tap
    outputs = torch.einsum("goit,ntgi->ngo", weight, values.view(50, 2, groups, 3)).flatten(1)
    assert_inside(outputs if bias is None else outputs + bias, found)
    read = (weight != 0).any(-1)
    constant = (~read | given_.constant.view(groups, 1, 3)).all(-1).flatten()
    assert found.constant[constant].all()
    known = outputs[0] if bias is None else outputs[0] + bias
    torch.testing.assert_close(found.low[constant], known[constant])


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_sums_products_and_functions_stay_inside(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = (drawn_range(12, generator) for _ in range(2))
    x, y = (draw(one, generator, 60) for one in (a, b))
    assert_inside(x + y, added(a, b))
    assert_inside(x * y, multiplied(a, b))
    assert_inside(torch.cat([x, y]), either(a, b))
    assert_inside(x.relu(), a.monotone(torch.relu))
    assert_inside(2 - 3 * x, a.monotone(lambda v: 2 - 3 * v))
    assert_inside(torch.nn.functional.gelu(x), a.pointwise(torch.nn.functional.gelu))
    assert_inside(x * (torch.rand(60, 12, generator=generator) < 0.5), a.with_zero())
    assert_inside(a.inside, a)


def test_zero_times_anything_is_zero() -> None:
    zero = Range(torch.zeros(1), torch.zeros(1))
    assert multiplied(zero, anything(1)).constant.all()
    assert weighted(torch.zeros(1, 1, 1, 1), None, anything(1)).low.tolist() == [0]


def test_a_relu_of_what_is_below_zero_is_constant() -> None:
    below = Range(torch.tensor([-inf, -2.0, -2.0]), torch.tensor([0.0, -1.0, 1.0]))
    assert below.monotone(torch.relu).constant.tolist() == [True, True, False]


def test_what_is_not_a_number_is_anything() -> None:
    odd = Range(torch.tensor([torch.nan, -1.0]), torch.tensor([torch.nan, -1.0]))
    assert (odd.low[0], odd.high[0]) == (-inf, inf)
    assert not odd.pointwise(torch.log).constant.any()
    assert not odd.monotone(torch.log).constant.any()


def test_large_weights_are_taken_in_blocks_of_rows() -> None:
    weight = torch.ones(1, 600, 9000, 1)
    found = weighted(weight, None, Range(torch.zeros(9000), torch.ones(9000)))
    assert found.low.tolist() == [0] * 600
    assert found.high.tolist() == [9000] * 600
