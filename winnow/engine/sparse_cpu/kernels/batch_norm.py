"""Batch normalisation, residual sums and ReLU in one pass over a map, and the way back.

Ioffe & Szegedy 2015, as torch computes it: y normalised with the biased variance of the batch,
running variance unbiased. The statistics come as sums of vectors, (channels, 2, W): Σ(v − shift)
and Σ(v − shift)², with a shift near the mean, so that the variance is no difference of large
numbers; what is left to do for each channel is done in float64. The way back needs Σd and
Σd·(y − shift) alike, d the gradient by what comes out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from winnow.engine.sparse_cpu.kernels.map_steps import map_steps
from winnow.engine.sparse_cpu.kernels.stored import for_both
from winnow.kernels.arrays import Floats, Int64s, Values
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import (
    W,
    add,
    fma,
    load_vector,
    mul,
    relu,
    scalar,
    splat,
    store,
    sub,
    where_positive,
)

# ---- forward


@kernel
def channel_sums(
    dims: Int64s, groups: int, present: Floats, y: Values, shift: Floats, sums: Floats
) -> None:
    """Add to ``sums`` from a map, where no product has done it while computing y."""
    row, plane, size, origin = map_steps(dims)
    ones = splat(np.float32(1))
    for c in range(dims[0]):
        s = splat(scalar(shift, c))
        first, second = load_vector(sums, 2 * c * W), load_vector(sums, (2 * c + 1) * W)
        for g in range(groups):
            keep = load_vector(present, 0) if g == groups - 1 else ones
            for i in range(dims[1]):
                at = origin + g * size + c * plane + i * row
                for k in range(at, at + dims[2] * W, W):
                    v = mul(sub(load_vector(y, k), s), keep)
                    first = add(first, v)
                    second = fma(v, v, second)
        store(sums, 2 * c * W, first)
        store(sums, (2 * c + 1) * W, second)


@kernel
def _total(sums: Floats, at: int) -> float:
    total = 0.0
    for i in range(W):
        total += np.float64(sums[at + i])
    return total


@kernel
def batch_statistics(
    sums: Floats,
    count: int,
    eps: float,
    keep: float,
    weight: Floats,
    bias: Floats,
    shift: Floats,
    running_mean: Floats,
    running_var: Floats,
    mean: Floats,
    scale: Floats,
    offset: Floats,
    deviation: Floats,
) -> None:
    """From sums of ``count`` values to y · scale + offset, the batch's mean and 1 / σ.

    ``keep``: how much of the running statistics stays; they are updated if there are any.
    """
    for c in range(mean.size):
        off = _total(sums, 2 * c * W) / count
        variance = max(_total(sums, (2 * c + 1) * W) / count - off * off, 0.0)
        centre = np.float64(shift[c]) + off
        inverse = 1.0 / math.sqrt(variance + eps)
        mean[c], deviation[c] = centre, inverse
        scale[c] = weight[c] * inverse
        offset[c] = bias[c] - centre * weight[c] * inverse
        if running_mean.size > 0:
            running_mean[c] = keep * running_mean[c] + (1.0 - keep) * centre
            unbiased = variance * count / max(count - 1, 1)
            running_var[c] = keep * running_var[c] + (1.0 - keep) * unbiased


@kernel
def running_statistics(
    eps: float,
    weight: Floats,
    bias: Floats,
    running_mean: Floats,
    running_var: Floats,
    scale: Floats,
    offset: Floats,
) -> None:
    """y · scale + offset of evaluation."""
    for c in range(scale.size):
        inverse = 1.0 / math.sqrt(np.float64(running_var[c]) + eps)
        scale[c] = weight[c] * inverse
        offset[c] = bias[c] - running_mean[c] * weight[c] * inverse


@kernel
def blend(
    dims: Int64s,
    groups: int,
    present: Floats,
    y: Values,
    scale: Floats,
    offset: Floats,
    other: Values,
    other_scale: Floats,
    other_offset: Floats,
    rectify: bool,
    out: Values,
) -> None:
    """out = y · scale + offset, + other · other_scale + other_offset if there is one; then ReLU.

    Elements without example become 0.
    """
    row, plane, size, origin = map_steps(dims)
    ones = splat(np.float32(1))
    for g in range(groups):
        keep = load_vector(present, 0) if g == groups - 1 else ones
        for c in range(dims[0]):
            a, b = splat(scalar(scale, c)), splat(scalar(offset, c))
            at = origin + g * size + c * plane
            for i in range(dims[1]):
                begin = at + i * row
                end = begin + dims[2] * W
                if other.size > 0:
                    a2, b2 = splat(scalar(other_scale, c)), splat(scalar(other_offset, c))
                    for k in range(begin, end, W):
                        value = add(
                            fma(load_vector(y, k), a, b), fma(load_vector(other, k), a2, b2)
                        )
                        store(out, k, mul(relu(value) if rectify else value, keep))
                else:
                    for k in range(begin, end, W):
                        value = fma(load_vector(y, k), a, b)
                        store(out, k, mul(relu(value) if rectify else value, keep))


# ---- back


@kernel
def back_sums(
    dims: Int64s, groups: int, delta: Values, gate: Values, y: Values, shift: Floats, sums: Floats
) -> None:
    """Add to ``sums`` where no product has; a gate first sets ``delta`` to 0 where it is <= 0."""
    row, plane, size, origin = map_steps(dims)
    for c in range(dims[0]):
        s = splat(scalar(shift, c))
        first, second = load_vector(sums, 2 * c * W), load_vector(sums, (2 * c + 1) * W)
        for g in range(groups):
            for i in range(dims[1]):
                at = origin + g * size + c * plane + i * row
                for k in range(at, at + dims[2] * W, W):
                    d = load_vector(delta, k)
                    if gate.size > 0:
                        d = where_positive(d, load_vector(gate, k))
                        store(delta, k, d)
                    first = add(first, d)
                    second = fma(d, sub(load_vector(y, k), s), second)
        store(sums, 2 * c * W, first)
        store(sums, (2 * c + 1) * W, second)


@kernel
def back_factors(
    sums: Floats,
    count: int,
    weight: Floats,
    mean: Floats,
    deviation: Floats,
    scale: Floats,
    slope: Floats,
    rest: Floats,
    weight_gradient: Floats,
    bias_gradient: Floats,
) -> None:
    """The gradients by weight and bias, and the factors of `blend_back`.

    d by y = γ/σ · (d − mean(d) − x̂ · mean(d · x̂)) = scale · d + slope · (y − mean) + rest.
    """
    for c in range(mean.size):
        inverse = np.float64(deviation[c])
        d = _total(sums, 2 * c * W)
        dx = _total(sums, (2 * c + 1) * W) * inverse
        weight_gradient[c], bias_gradient[c] = dx, d
        factor = weight[c] * inverse
        scale[c] = factor
        slope[c] = -factor * inverse * dx / count
        rest[c] = -factor * d / count


@kernel
def blend_back(
    dims: Int64s,
    groups: int,
    present: Floats,
    delta: Values,
    y: Values,
    mean: Floats,
    scale: Floats,
    slope: Floats,
    rest: Floats,
    accumulate: bool,
    out: Values,
) -> None:
    """out, or what is added to it: scale · delta + slope · (y − mean) + rest; out may be delta."""
    row, plane, size, origin = map_steps(dims)
    ones = splat(np.float32(1))
    for g in range(groups):
        keep = load_vector(present, 0) if g == groups - 1 else ones
        for c in range(dims[0]):
            m, a = splat(scalar(mean, c)), splat(scalar(scale, c))
            b, r = splat(scalar(slope, c)), splat(scalar(rest, c))
            for i in range(dims[1]):
                at = origin + g * size + c * plane + i * row
                for k in range(at, at + dims[2] * W, W):
                    d = fma(a, load_vector(delta, k), fma(b, sub(load_vector(y, k), m), r))
                    d = mul(d, keep)
                    store(out, k, add(load_vector(out, k), d) if accumulate else d)


_floats, _int = types.float32[::1], types.int64
_real, _yes = types.float64, types.boolean
_shape: tuple[Any, ...] = (types.int64[::1], _int)
_channels, _summand = (_floats, _floats), (_floats, _floats)


def _entries(maps: Any, kind: str) -> tuple[EntryPoint, ...]:
    summands = (maps, *_summand, maps, *_summand)
    norm = (maps, maps, *[_floats] * 4)
    return (
        EntryPoint(channel_sums, (*_shape, _floats, maps, *_channels), kind),
        EntryPoint(blend, (*_shape, _floats, *summands, _yes, maps), kind),
        EntryPoint(back_sums, (*_shape, maps, maps, maps, *_channels), kind),
        EntryPoint(blend_back, (*_shape, _floats, *norm, _yes, maps), kind),
        EntryPoint(batch_statistics, (_floats, _int, _real, _real, *[_floats] * 9)),
        EntryPoint(running_statistics, (_real, *[_floats] * 6)),
        EntryPoint(back_factors, (_floats, _int, *[_floats] * 8)),
    )


ENTRIES, ENTRIES_BF16 = for_both(_entries)
