"""Products of sparse weights with maps, against torch in float64 with autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from products import close, close_sums, convolutions, linears, normal

from winnow.engine.sparse_cpu.graph.correlate import weight_gradient
from winnow.engine.sparse_cpu.kernels import block_gradient, block_product
from winnow.kernels.arrays import NO_FLOATS
from winnow.kernels.cache import prepare
from winnow.kernels.simd import W


@pytest.fixture(scope="module", autouse=True)
def _kernels():
    prepare("products", block_product.ENTRIES + block_gradient.ENTRIES)


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
