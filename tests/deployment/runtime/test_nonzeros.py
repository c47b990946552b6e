"""The lists of nonzeros against loops over all weights."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from runtime.slow_steps import LANES, Maker, check_part

from winnow.deployment.runtime.assemble import assemble
from winnow.deployment.runtime.geometry import geometries, is_strided
from winnow.deployment.runtime.kernels import code
from winnow.deployment.runtime.nonzeros import dot_slices, product_nonzeros
from winnow.kernels.simd import W


def slowly(step, source):
    """(row, where it reads, weight) of every nonzero, by its definition."""
    dense, found = step.weights.dense(), []
    outputs, inputs, high, wide = dense.shape
    (sh, sw), (ph, pw), (dh, dw) = step.stride, step.padding, step.dilation
    columns = 1 + max((j * dw - pw) % sw for j in range(wide))
    for o in range(outputs):
        group = o // (outputs // step.groups)
        for i in range(inputs):
            for y in range(high):
                for x in range(wide):
                    if dense[o, i, y, x] == 0:
                        continue
                    channel, down, right = group * inputs + i, y * dh - ph, x * dw - pw
                    if is_strided(step):
                        phase = (down % sh) * columns + right % sw
                        channel += phase * step.x.channels
                        down, right = down // sh, right // sw
                    place = channel * source.plane + (down * source.row + right) * source.lanes
                    found.append((o, place, float(dense[o, i, y, x])))
    return found


CASES = {
    "plain": {"kernel": (3, 3), "padding": (1, 1)},
    "strided": {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)},
    "uneven": {"kernel": (2, 5), "stride": (1, 3), "padding": (2, 1), "dilation": (2, 1)},
    "groups": {"kernel": (3, 3), "groups": 2, "padding": (0, 2)},
    "empty": {"kernel": (1, 1), "density": 0.0},
}


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("case", CASES)
def test_nonzeros_of_convolutions(case, lanes):
    made = Maker(3)
    made.convolution(made.input(6, 8, 9), 10, **CASES[case])
    (step,) = made.part.steps
    found, phases = geometries(made.part, lanes)
    source = phases.get(step, found[step.x])
    listed = product_nonzeros(step, source, 8)
    rows = np.repeat(np.arange(listed.slabs * 10) % 10, np.diff(listed.start))
    assert Counter(zip(rows, listed.offset, listed.values, strict=True)) == Counter(
        slowly(step, source)
    )


@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("outputs", [1, W - 1, W, 3 * W + 1])
def test_slices(density, outputs):
    made = Maker(4)
    made.linear(made.input(5, 2, 3), outputs, density=density)
    (step,) = made.part.steps
    source = geometries(made.part, 1)[0][step.x]
    listed = dot_slices(step, source)
    found = []
    exists = set(source.places().tolist())
    for s in range(len(listed.start) - 1):
        begin, end = listed.start[s : s + 2] * W
        for k in range(begin, end):
            row = listed.order[s * W + k % W]
            assert listed.offset[k] in exists
            if listed.values[k] != 0:
                found.append((row, listed.offset[k], listed.values[k]))
            assert row >= 0 or listed.values[k] == 0
    assert Counter(found) == Counter(slowly(step, source))
    assert sorted(listed.order[listed.order >= 0]) == list(range(outputs))
    counts = np.bincount([row for row, _, _ in found], minlength=outputs)
    longest = [counts[rows[rows >= 0]].max() for rows in listed.order.reshape(-1, W)]
    assert listed.start.tolist() == [0, *np.cumsum(longest)]


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("lanes", LANES)
def test_products_of_several_slabs(lanes, int8):
    """More planes than the cache holds: partial sums go to memory and come back."""
    made = Maker(5, int8)
    x, more = made.input(200, 20, 20), made.input(8, 20, 20)
    y = made.convolution(
        x, 8, (3, 3), padding=(1, 1), density=0.5, residual=more, relu=True
    )  # fmt: skip
    part = made.made(y)
    _, channel, _, _ = np.unravel_index(part.steps[0].weights.index, (8, 200, 3, 3))
    row = part.steps[0].weights.index // (200 * 9)
    some = (channel < 50) | (channel > 150) | (row % 3 > 0)  # not every row has some in every slab
    weights = part.steps[0].weights
    part.steps[0].weights = replace(weights, index=weights.index[some], values=weights.values[some])
    row = next(r for r in assemble(part, lanes).code.reshape(-1, code.WIDTH)
               if r[code.OPERATION] == code.MULTIPLY)  # fmt: skip
    assert row[code.SLABS] > 2
    check_part(part, lanes, min(lanes, 3))
