"""Layers with random nonzeros and sizes, and what torch computes with them in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from winnow.engine.sparse_cpu.graph import lists
from winnow.engine.sparse_cpu.graph.correlate import Gate, correlate, correlate_back
from winnow.engine.sparse_cpu.graph.map import Map
from winnow.engine.sparse_cpu.graph.window import Window
from winnow.kernels.arrays import NO_FLOATS
from winnow.kernels.simd import W


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
    window: Window | None = None

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
        lambda x, weight: F.conv2d(x, weight, stride=stride, padding=padding), window,
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
