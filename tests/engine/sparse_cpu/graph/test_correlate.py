"""Products of sparse weights with maps, against torch in float64 with autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from winnow.engine.sparse_cpu.graph import lists
from winnow.engine.sparse_cpu.graph.correlate import (
    Gate,
    correlate,
    correlate_back,
    weight_gradient,
)
from winnow.engine.sparse_cpu.graph.map import Map
from winnow.engine.sparse_cpu.graph.window import Window
from winnow.engine.sparse_cpu.kernels import block_gradient, block_product
from winnow.kernels.arrays import NO_FLOATS
from winnow.kernels.cache import prepare
from winnow.kernels.simd import W


@pytest.fixture(scope="module", autouse=True)
def _kernels():
    prepare("products", block_product.ENTRIES + block_gradient.ENTRIES)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


@dataclass
class Case:
    """A layer with its nonzeros, and what torch computes with it in float64."""

    source: Map
    target: Map
    nonzeros: lists.LayerLists
    keep: Tensor
    weight: Tensor
    x: Tensor
    delta: Tensor
    apply: Callable[[Tensor, Tensor], Tensor]

    @property
    def batch(self) -> int:
        return len(self.x)

    @property
    def values(self) -> np.ndarray:
        return self.weight.flatten().numpy()[self.nonzeros.index]

    @property
    def present(self) -> np.ndarray:
        return (np.arange(W) < (self.batch - 1) % W + 1).astype(np.float32)

    def forward(self, bias=NO_FLOATS, relu=False, shift=NO_FLOATS, sums=NO_FLOATS) -> Tensor:
        p, out = self.nonzeros.forward, self.target.zeros(self.batch)
        correlate(
            p.grid, p.start, p.offset, self.values, p.at, bias, self.source.pack(self.x), out,
            self.present, relu, shift, sums,
        )  # fmt: skip
        return self.unpacked(self.target, out)

    def backward(
        self,
        old=None,
        accumulate=False,
        gate=NO_FLOATS,
        y=NO_FLOATS,
        shift=NO_FLOATS,
        sums=NO_FLOATS,
    ):
        out = self.source.zeros(self.batch) if old is None else self.source.pack(old)
        delta = self.target.pack(self.delta)
        for p in self.nonzeros.backward:
            correlate_back(
                p.grid, p.start, p.offset, self.values[p.place], p.at, delta, out,
                accumulate, Gate(gate, y, shift=shift, sums=sums),
            )  # fmt: skip
        return self.unpacked(self.source, out)

    def unpacked(self, layout: Map, buffer: np.ndarray) -> Tensor:
        """What a buffer holds; border and elements without example must hold 0."""
        answer = layout.unpack(buffer, self.batch)
        assert np.count_nonzero(buffer) == torch.count_nonzero(answer)
        return answer

    def expected(self, x=None, weight=None) -> Tensor:
        x = self.x.double() if x is None else x
        weight = (self.weight * self.keep).double() if weight is None else weight
        return self.apply(x, weight)

    def gradients(self) -> tuple[Tensor, Tensor]:
        """By the input, by the weight."""
        x = self.x.double().requires_grad_()
        weight = (self.weight * self.keep).double().requires_grad_()
        self.expected(x, weight).backward(self.delta.double())
        return x.grad, weight.grad


def close(answer: Tensor, expected: Tensor) -> None:
    """Within 2e-5 of the largest value, or of 1."""
    assert answer.shape == expected.shape
    scale = np.abs(expected.numpy()).max(initial=1.0)
    assert np.abs(answer.numpy() - expected.numpy()).max(initial=0.0) <= 2e-5 * scale


def close_sums(answer: Tensor, terms: Tensor) -> None:
    """Sums over examples and positions: within 5e-6 of each term's size, or of 1, added up.

    Terms cancel, in the products that they come from too, and their rounding does not.
    """
    expected = terms.sum((0, 2, 3))
    assert answer.shape == expected.shape
    size = terms.abs().clamp(min=1).sum((0, 2, 3))
    assert bool(((answer - expected).abs() <= 5e-6 * size).all())


def masked(seed: int, density: float, shape: tuple[int, ...], holes: bool) -> Tensor:
    keep = torch.from_numpy(np.random.default_rng(seed).random(shape) < density)
    if holes:  # an output without inputs, an input without outputs
        keep[seed % shape[0]] = False
        keep[:, seed % shape[1]] = False
    return keep


@contextmanager
def slabs_of(size: int) -> Iterator[None]:
    """Lists with slabs of so many bytes, however few nonzeros a row has in them."""
    few = mock.patch.object(lists, "_ENOUGH", 1)
    with mock.patch.object(lists, "_SLAB_BYTES", size), few:
        yield


@st.composite
def convolutions(draw, most: int = 19) -> Case:
    seed = draw(st.integers(0, 10**6))
    kernel = (draw(st.sampled_from([1, 3, 5])), draw(st.sampled_from([1, 3, 5])))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    sides = [
        draw(st.integers(max(k - 2 * p, 1), most)) for k, p in zip(kernel, padding, strict=True)
    ]
    window = Window(kernel, stride, padding)
    borders = window.borders(*sides)
    inputs, outputs = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    source = Map(inputs, *sides, borders[0] + draw(st.integers(0, 1)))
    target = Map(outputs, *window.size(*sides), borders[1] + draw(st.integers(0, 1)))
    batch = draw(st.integers(1, 5 * W))
    density = draw(st.sampled_from([1, 0.5, 0.1, 0.02, 0]))
    keep = masked(seed, density, (outputs, inputs, *kernel), draw(st.booleans()))
    with slabs_of(draw(st.sampled_from([1, 10_000, 24_576]))):
        made = lists.convolution_lists(keep.numpy(), stride, padding, source, target, batch)
    return Case(
        source, target, made, keep, normal(seed, *keep.shape),
        normal(seed + 1, batch, inputs, *sides),
        normal(seed + 2, batch, outputs, target.height, target.width),
        lambda x, weight: F.conv2d(x, weight, stride=stride, padding=padding),
    )  # fmt: skip


@st.composite
def linears(draw) -> Case:
    seed, batch = draw(st.integers(0, 10**6)), draw(st.integers(1, 5 * W))
    channels, *sides = (draw(st.integers(1, n)) for n in (40, 4, 4))
    source = Map(channels, *sides, draw(st.integers(0, 2)))
    target = Map(draw(st.integers(1, 40)))
    density = draw(st.sampled_from([1, 0.5, 0.1, 0.02, 0]))
    keep = masked(
        seed, density, (target.channels, channels * sides[0] * sides[1]), draw(st.booleans())
    )
    with slabs_of(draw(st.sampled_from([1, 24_576]))):
        made = lists.linear_lists(keep.numpy(), source, target, batch)
    return Case(
        source, target, made, keep, normal(seed, *keep.shape),
        normal(seed + 1, batch, channels, *sides),
        normal(seed + 2, batch, target.channels, 1, 1),
        lambda x, weight: F.linear(x.flatten(1), weight)[:, :, None, None],
    )  # fmt: skip


cases = st.one_of(convolutions(), convolutions(), linears())


@settings(deadline=None, max_examples=120)
@given(cases)
def test_forward(case):
    close(case.forward(), case.expected())


@settings(deadline=None, max_examples=120)
@given(cases)
def test_input_gradient(case):
    close(case.backward(), case.gradients()[0])


@settings(deadline=None, max_examples=120)
@given(cases)
def test_weight_gradient_and_bias_gradient(case):
    p = case.nonzeros.forward
    x, delta = case.source.pack(case.x), case.target.pack(case.delta)
    partial = np.full(p.scratch, np.nan, np.float32)
    gradient = np.full(len(p.offset), np.nan, np.float32)
    weight_gradient(p.grid, p.start, p.offset, p.at, x, delta, partial, gradient)
    expected = case.gradients()[1].flatten()[case.nonzeros.index]
    close(torch.from_numpy(gradient), expected)
    sums = np.full(len(p.at), np.nan, np.float32)
    block_gradient.row_sums(p.grid, p.at, delta, sums)
    close_sums(torch.from_numpy(sums), case.delta.double())


@settings(deadline=None, max_examples=120)
@given(cases, st.booleans(), st.booleans())
def test_bias_relu_and_sums(case, biased, relu):
    outputs = case.target.channels
    bias, shift = normal(3, outputs), normal(4, outputs)
    sums = np.ones(2 * W * outputs, np.float32)
    answer = case.forward(bias.numpy() if biased else NO_FLOATS, relu, shift.numpy(), sums)
    expected = case.expected() + (bias.double()[:, None, None] if biased else 0)
    expected = expected.relu() if relu else expected
    close(answer, expected)
    added = torch.from_numpy(sums).view(outputs, 2, W).double().sum(2) - W
    d = expected - shift.double()[:, None, None]
    close_sums(added[:, 0], d)
    close_sums(added[:, 1], d.square())


@settings(deadline=None, max_examples=120)
@given(cases, st.booleans(), st.booleans())
def test_gate_accumulation_and_sums_of_the_way_back(case, accumulate, gated):
    channels = case.source.channels
    old, gate, y = (normal(seed, *case.x.shape) for seed in (5, 6, 7))
    expected = case.gradients()[0] + (old.double() if accumulate else 0)
    expected = expected * (gate > 0) if gated else expected
    packed = case.source.pack(gate) if gated else NO_FLOATS
    if case.nonzeros.forward.offset.size != 0 and len(case.nonzeros.backward[0].at) == channels:
        shift, sums = normal(8, channels), np.ones(2 * W * channels, np.float32)
        answer = case.backward(old, accumulate, packed, case.source.pack(y), shift.numpy(), sums)
        added = torch.from_numpy(sums).view(channels, 2, W).double().sum(2) - W
        close_sums(added[:, 0], expected)
        d = y.double() - shift.double()[:, None, None]
        close_sums(added[:, 1], expected * d)
    else:
        answer = case.backward(old, accumulate, packed)
    close(answer, expected)
