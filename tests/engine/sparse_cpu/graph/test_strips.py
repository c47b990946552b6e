"""Operands that are computed strip by strip, against torch in float64 with autograd."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from products import Case, close, close_sums, convolutions, normal
from torch import Tensor

from winnow.engine.sparse_cpu.graph import lists
from winnow.engine.sparse_cpu.graph.correlate import (
    Back,
    Gate,
    Listed,
    both_gradients,
    correlate,
    correlate_back,
    weight_gradient,
)
from winnow.engine.sparse_cpu.graph.map import Map
from winnow.engine.sparse_cpu.graph.regions import regions
from winnow.engine.sparse_cpu.graph.streaming import Strips, rows_of, strips_of
from winnow.engine.sparse_cpu.graph.strips import ProductInput
from winnow.engine.sparse_cpu.kernels import block_gradient, block_product
from winnow.kernels.arrays import NO_FLOATS, aligned
from winnow.kernels.cache import prepare
from winnow.kernels.simd import W


@pytest.fixture(scope="module", autouse=True)
def _kernels():
    prepare("products", block_product.ENTRIES + block_gradient.ENTRIES)


@dataclass
class Streamed:
    """A convolution of max(y · scale + rest, 0), or of that without a ReLU, and the way back.

    The gradient by its output is d · scale + (z − mean) · slope + rest.
    """

    case: Case
    strips: Strips
    rectify: bool
    y: Tensor
    d: Tensor
    z: Tensor

    def channels(self, seed: int, shape: Map) -> np.ndarray:
        return normal(seed, shape.channels).numpy()

    @property
    def x(self) -> ProductInput:
        source, none = self.case.source, NO_FLOATS
        scale, rest = self.channels(20, source), self.channels(21, source)
        filled = (source.pack(self.y), none, none, scale, none, rest)
        dims = self.strips.x.dims(rectify=self.rectify)
        return ProductInput(aligned(4 * self.strips.x.group, np.nan), dims, filled)

    @property
    def delta(self) -> ProductInput:
        target = self.case.target
        mean, scale, slope, rest = (self.channels(30 + i, target) for i in range(4))
        filled = (target.pack(self.d), target.pack(self.z), mean, scale, slope, rest)
        dims = self.strips.delta.dims(rectify=False)
        return ProductInput(aligned(4 * self.strips.delta.group, np.nan), dims, filled)

    def stored(self) -> Case:
        """The same with both operands as tensors."""
        *_, scale, _, rest = (torch.from_numpy(a).double()[:, None, None] for a in self.x.filled)
        x = self.y.double() * scale + rest
        mean, scale, slope, rest = (
            torch.from_numpy(a).double()[:, None, None] for a in self.delta.filled[2:]
        )
        delta = self.d.double() * scale + (self.z.double() - mean) * slope + rest
        return replace(self.case, x=x.relu() if self.rectify else x, delta=delta)


@st.composite
def streamed(draw) -> Streamed:
    case = draw(convolutions(most=23))
    high = rows_of(case.window, case.source, case.target)
    rows = draw(st.sampled_from([4, 8, 12, 4 * (high // 4) or high, high]))
    strips = strips_of(case.window, case.source, case.target, min(rows, high))
    keep, window = case.keep.numpy(), case.window
    case.nonzeros = lists.convolution_lists(
        keep, window.stride, window.padding, case.source, case.target, case.batch,
        strips.x, strips.delta,
    )  # fmt: skip
    shape = case.delta.shape
    return Streamed(
        case, strips, draw(st.booleans()), normal(7, *case.x.shape), normal(8, *shape),
        normal(9, *shape),
    )  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(streamed(), st.booleans())
def test_forward_reads_what_it_computes(s, past_caches):
    case, expected = s.case, s.stored()
    p, out = case.nonzeros.forward, case.target.zeros(case.batch)
    correlate(
        p.grid, p.start, p.offset, case.values, p.at, NO_FLOATS, s.x, out, case.present,
        False, NO_FLOATS, NO_FLOATS, past_caches,
    )  # fmt: skip
    close(case.unpacked(case.target, out), expected.expected())


@settings(deadline=None, max_examples=100)
@given(streamed(), st.booleans(), st.booleans())
def test_the_way_back_reads_what_it_computes(s, x_stored, past_caches):
    """Either way: the two gradients one after the other, or both with each strip."""
    case, expected = s.case, s.stored()
    by_input, by_weight = expected.gradients()
    made = case.nonzeros
    if x_stored:  # lists that read the input as it lies
        made = lists.convolution_lists(
            case.keep.numpy(), case.window.stride, case.window.padding, case.source, case.target,
            case.batch, None, s.strips.delta,
        )  # fmt: skip
    p, channels = made.gradient, case.source.channels
    x = ProductInput(case.source.pack(expected.x)) if x_stored else s.x
    values = case.weight.flatten().numpy()[made.index]
    gradient = np.full(len(values), np.nan, np.float32)
    partial = np.full(max(len(values), 1) * W, np.nan, np.float32)
    out = case.source.zeros(case.batch)
    sums, shift = np.ones(2 * W * channels, np.float32), normal(5, channels).numpy()
    y, gate = s.x.filled[0], Gate()
    whole = all(len(way.at) == channels for way in made.backward)
    if s.rectify and whole:
        gate = Gate(NO_FLOATS, y, s.x.filled[3], s.x.filled[5], shift, sums)
        by_input = by_input * (s.stored().x > 0)
    listed = Listed(p.grid, p.start, p.offset, p.at)
    backs = [
        Back(Listed(way.grid, way.start, way.offset, way.at), values[way.place], out, False,
             gate, past_caches)
        for way in made.backward
    ]  # fmt: skip
    if len(backs) == 1 and regions(p.grid) == regions(backs[0].listed.grid):
        both_gradients(listed, x, s.delta, partial, gradient, False, backs[0], case.present)
    else:
        weight_gradient(*listed, x, s.delta, partial, gradient, False, case.present)
        for way in backs:
            correlate_back(
                way.listed.grid, way.listed.start, way.listed.offset, way.weight, way.listed.at,
                s.delta, out, False, gate, case.present, past_caches,
            )  # fmt: skip
    close(torch.from_numpy(gradient), by_weight.flatten()[made.index])
    close(case.unpacked(case.source, out), by_input)
    if s.rectify and whole and made.index.size:
        added = torch.from_numpy(sums).view(channels, 2, W).double().sum(2) - W
        close_sums(added[:, 0], by_input)
        d = s.y.double() - torch.from_numpy(shift).double()[:, None, None]
        close_sums(added[:, 1], by_input * d)
