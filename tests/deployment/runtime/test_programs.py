"""Programs of kernels against torch in float64, step by step and in chains."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.slow_steps import (
    LANES,
    Maker,
    check_part,
    examples,
    run_kernels,
    run_slowly,
    runner_of,
)

lanes = st.sampled_from(LANES)
pairs = st.tuples
small = st.integers(1, 3)


@st.composite
def convolutions(draw):
    """A convolution of any kind, and the pixels of its input."""
    kernel = draw(pairs(st.integers(1, 5), st.integers(1, 5)))
    dilation = draw(pairs(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(pairs(st.integers(0, 3), st.integers(0, 3)))
    least = [
        max(d * (k - 1) + 1 - 2 * p, 1) for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    high = draw(st.integers(least[0], least[0] + 7))
    wide = draw(
        st.sampled_from([*range(1, 20), 31, 32, 33, 48, 129, 140]).filter(lambda n: n >= least[1])
    )
    groups = draw(small)
    channels = groups * draw(small)
    out = groups * draw(small)
    return {
        "pixels": (high, wide),
        "channels": channels,
        "out": out,
        "kernel": kernel,
        "stride": draw(pairs(small, small)),
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "density": draw(st.sampled_from([0.0, 0.05, 0.4, 1.0])),
    }


@given(
    lanes, convolutions(), st.booleans(), st.booleans(), st.sampled_from([None, "input", "product"])
)
@settings(max_examples=150)
def test_convolutions(lanes, about, int8, relu, residual):
    made = Maker(1, int8)
    x = made.input(about.pop("channels"), *about.pop("pixels"))
    density = about["density"]
    if residual is not None:
        out = made.convolution(x, **about)
        if residual == "input":
            made.part.steps.clear()
            out = made.input(out.channels, *out.pixels)
        about["residual"] = out
    y = made.convolution(x, **(about | {"density": density, "relu": relu}))
    check_part(made.made(y), lanes)


@given(
    lanes,
    st.sampled_from([(1, 1, 1), (17, 1, 1), (300, 1, 1), (3, 5, 7), (2, 16, 16), (40, 2, 1)]),
    st.sampled_from([1, 2, 15, 16, 17, 40]),
    st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=60)
def test_linear_layers(lanes, shape, out, density, int8, relu, twice):
    made = Maker(2, int8)
    x = made.input(*shape)
    if shape[1:] != (1, 1):  # of a map that has a border
        x = made.convolution(x, shape[0], (3, 3), padding=(1, 1))
    first = made.linear(x, out, density=density)
    y = made.linear(x, out, density=density, relu=relu, residual=first if twice else None)
    check_part(made.made(y), lanes)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("int8", [False, True])
def test_rows_without_nonzeros_are_their_bias(lanes, int8):
    made = Maker(3, int8)
    x = made.input(5, 4, 4)
    y = made.convolution(x, 3, (3, 3), padding=(1, 1), density=0.0)
    part = made.made(y, made.linear(y, 20, density=0.0))
    found = run_kernels(runner_of(part, lanes), examples(part, lanes))
    for values, step in zip(found, part.steps, strict=True):
        wanted = torch.from_numpy(step.bias)[:, None, None].expand_as(values[0])
        assert all(torch.equal(value, wanted) for value in values)


@given(
    lanes,
    st.booleans(),
    pairs(small, small),
    pairs(small, small),
    pairs(st.integers(0, 1), st.integers(0, 1)),
    st.integers(3, 9),
    st.sampled_from([3, 4, 15, 16, 17, 33, 40]),
)
@settings(max_examples=100)
def test_pools(lanes, average, kernel, stride, padding, high, wide):
    padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
    made = Maker(4)
    x = made.input(3, high, wide)
    x = x if average else made.sum(x, relu=True)  # padding is 0: numbers below it are not known
    check_part(made.made(made.pool(x, kernel, stride, padding, average)), lanes)


@pytest.mark.parametrize("lanes", LANES)
def test_the_maximum_of_negative_numbers(lanes):
    made = Maker(5)
    x = made.input(3, 7, 20)
    pooled = [made.pool(x, (k, k), (s, s)) for k, s in [(1, 1), (2, 2), (3, 2), (2, 1), (3, 3)]]
    part = made.made(*pooled)
    given = [-1 - examples(part, lanes)[0].abs()]
    for mine, theirs in zip(
        run_kernels(runner_of(part, lanes), given), run_slowly(part, given), strict=True
    ):
        assert torch.equal(mine.double(), theirs)


STEPS = ("convolution", "strided", "linear", "pool", "mean", "sum", "relu", "scale", "cat", "skip")


@st.composite
def networks(draw):
    """Steps that read any values before them, and outputs among all of them."""
    made = Maker(draw(st.integers(0, 99)), draw(st.booleans()))
    sizes = [(1, 1), (5, 5), (4, 17), (1, 3), (8, 8)]
    values = [
        made.input(draw(small), *draw(st.sampled_from(sizes)))
        for _ in range(draw(st.integers(1, 2)))
    ]
    for kind in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=9)):
        x = draw(st.sampled_from(values))
        alike = [v for v in values if v.pixels == x.pixels]
        if kind == "strided":
            y = made.convolution(x, draw(small), (3, 3), (2, 2), (1, 1))
        elif kind == "linear":
            y = made.linear(x, draw(st.sampled_from([1, 4, 18])), relu=draw(st.booleans()))
        elif kind == "pool":
            window = tuple(min(n, 2) for n in x.pixels)
            y = made.pool(x, window, window, average=draw(st.booleans()))
        elif kind == "mean":
            y = made.mean(x)
        elif kind == "sum":
            same = [v for v in alike if v.channels == x.channels]
            y = made.sum(x, draw(st.sampled_from(same)), relu=draw(st.booleans()))
        elif kind == "relu":
            y = made.sum(x, relu=True)
        elif kind == "scale":
            y = made.scale(x, relu=draw(st.booleans()))
        elif kind == "cat":
            y = made.concatenate([x, *draw(st.lists(st.sampled_from(alike), max_size=2))])
        else:
            k = draw(st.sampled_from([1, 3]))
            other = draw(st.sampled_from(alike)) if kind == "skip" else None
            out = draw(small) if other is None else other.channels
            y = made.convolution(
                x, out, (k, k), padding=(k // 2, k // 2), residual=other, relu=draw(st.booleans())
            )
        values.append(y)
    outputs = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))
    return made.made(*outputs)


@given(lanes, networks(), st.integers(0, 3))
@settings(max_examples=150)
def test_networks(lanes, part, fewer):
    check_part(part, lanes, max(lanes - fewer, 1))


@pytest.mark.parametrize("lanes", LANES)
def test_phases_do_not_lie_where_something_else_was(lanes):
    """The map of four phases of (1, 3, 3) is (4, 2, 2), whose last rows and columns hold no pixel
    of some phases: a sum that was needed before is such a map too, of the same layout.
    """
    made = Maker(6)
    before, x = made.input(4, 2, 2), made.input(1, 3, 3)
    whole = made.sum(made.convolution(before, 4, (3, 3), padding=(1, 1), density=1.0))
    features = made.linear(whole, 2, density=1.0)
    y = made.convolution(x, 4, (3, 3), (2, 2), (1, 1), density=1.0)
    check_part(made.made(features, y), lanes)


BAD = (torch.nan, torch.inf, -torch.inf)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("int8", [False, True])
def test_one_bad_example_leaves_the_others_as_they_are(bad, lanes, int8):
    made = Maker(7, int8)
    x = made.input(3, 9, 9)
    a = made.convolution(x, 8, (3, 3), padding=(1, 1), relu=True)
    b = made.convolution(a, 8, (3, 3), (2, 2), (1, 1))
    c = made.convolution(a, 8, (1, 1), (2, 2), residual=b, relu=True)
    d = made.scale(made.concatenate([c, made.pool(a, (3, 3), (2, 2), (1, 1))]), relu=True)
    e = made.pool(d, (2, 2), (2, 2), average=True)
    part = made.made(a, c, made.linear(e, 21), made.mean(d), made.sum(b, c))
    runner, given = runner_of(part, lanes), examples(part, 2 * lanes)
    clean = run_kernels(runner, given)
    wrong = range(1, 2 * lanes, 5)
    given[0][wrong] = bad
    found = run_kernels(runner, given)
    for before, after in zip(clean, found, strict=True):
        assert not after[wrong].isfinite().all()
        others = [i for i in range(2 * lanes) if i not in wrong]
        assert torch.equal(before[others], after[others])


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("lanes", LANES)
def test_bad_numbers_go_where_they_go_in_torch(bad, lanes):
    """Weights are all there, so that torch multiplies the same ones."""
    made = Maker(8)
    x = made.input(2, 6, 21)
    a = made.convolution(x, 3, (3, 3), (1, 2), (1, 1), density=1.0, relu=True)
    outputs = [
        a,
        made.convolution(x, 2, (3, 3), padding=(2, 2), density=1.0),
        made.linear(x, 17, density=1.0),
        made.sum(x, relu=True),
        made.scale(x),
        made.pool(x, (2, 2), (2, 2)),
        made.pool(x, (3, 3), (3, 3)),
        made.pool(x, (3, 3), (1, 1)),
        made.pool(a, (3, 3), (2, 2), (1, 1)),
        made.pool(x, (2, 2), (2, 2), (1, 1), average=True),
        made.mean(x),
        made.concatenate([x, made.sum(x, x)]),
    ]
    part = made.made(*outputs)
    given = examples(part, lanes)
    given[0][:, 1, 3, 19] = bad
    given[0][:, 0, 0, 0] = bad
    found = run_kernels(runner_of(part, lanes), given)
    for i, (mine, theirs) in enumerate(zip(found, run_slowly(part, given), strict=True)):
        for test in (torch.isnan, torch.isposinf, torch.isneginf):
            assert torch.equal(test(mine), test(theirs)), (i, test)


@pytest.mark.parametrize("lanes", LANES)
def test_padding_times_an_infinite_weight_is_nothing(lanes):
    """Torch multiplies the zeros around a map: 0 · inf is NaN there, as it is here."""
    made = Maker(9)
    x = made.input(1, 4, 5)
    y = made.convolution(x, 1, (3, 3), padding=(1, 1), density=1.0)
    part = made.made(y)
    part.steps[0].weights.values[0] = torch.inf
    given = examples(part, lanes)
    (found,), (wanted,) = run_kernels(runner_of(part, lanes), given), run_slowly(part, given)
    assert torch.equal(found.isnan(), wanted.isnan())
    assert torch.equal(found.isinf(), wanted.isinf())
