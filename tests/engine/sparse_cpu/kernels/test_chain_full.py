"""Kernels for full layers against those for sparse ones, over steps of training, in bits.

Also run on narrower vectors by `test_widths`, where no layer goes this way by itself.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from winnow.engine.sparse_cpu.chain.lists import KeptLayer
from winnow.engine.sparse_cpu.chain.network import chain_network
from winnow.engine.sparse_cpu.kernels.chain_network import FULL, NONZERO, NONZEROS
from winnow.engine.sparse_cpu.kernels.chain_pixels import FlatImages
from winnow.engine.sparse_cpu.kernels.chain_steps import evaluate_chain, train_chain
from winnow.engine.sparse_cpu.kernels.groups import prepare_chain_kernels
from winnow.engine.sparse_cpu.kernels.update import ADAM
from winnow.kernels.simd import W

IMAGES = 130
OPTIONS = np.array([0.0, 0.0, 0.9, 0.999, 1e-8])


def layers_of(sizes, bias):
    """Layers with every weight, with all biases or none."""
    for depth, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        keep = np.ones((outputs, inputs + 1), np.bool_)
        keep[:, -1] = bias
        yield KeptLayer(keep, relu=depth < len(sizes) - 2)


def trained(sizes, bias, batch, clip, full):
    """All numbers after five steps of Adam, and what they give; ``full``: by which kernels."""
    draw = np.random.default_rng(1)
    network, _ = chain_network(list(layers_of(sizes, bias)), 2, batch)
    network.weight[:] = draw.normal(size=len(network.weight)) / 10
    network.table[:, FULL] = full
    images = FlatImages(
        draw.integers(0, 256, IMAGES * sizes[0], dtype=np.uint8),
        draw.integers(0, sizes[-1], IMAGES),
        np.full(sizes[0], 0.01, np.float32),
        np.full(sizes[0], -1.0, np.float32),
        np.empty(0, np.float32),
    )
    order, rates = np.arange(IMAGES), np.full(IMAGES // batch, 0.01)
    prepare_chain_kernels()
    made, loss = train_chain(network, images, order, 0, batch, rates, ADAM, OPTIONS, 0, clip, 100.0)
    assert made == len(rates)
    return network, loss, evaluate_chain(network, images, order)


@pytest.mark.parametrize("sizes", [[300, 33, 10], [5, 2, 3], [100, 70, 17, 2], [131, 64]])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("batch", "clip"), [(26, 0.0), (26, 0.5), (130, 0.0)])
def test_full_layers_have_the_bits_of_sparse_ones(sizes, bias, batch, clip):
    mine, *told = trained(sizes, bias, batch, clip, full=1)
    theirs, *expected = trained(sizes, bias, batch, clip, full=0)
    assert told == expected
    for name in ("weight", "first", "second"):
        for row in mine.table:
            where = slice(row[NONZERO], row[NONZERO] + row[NONZEROS])
            same = getattr(mine, name)[where], getattr(theirs, name)[where]
            assert np.array_equal(same[0].view(np.int32), same[1].view(np.int32))


def test_which_layers_are_full():
    (layer,) = layers_of([20, 6], True)
    cases = {(): True, (2, 3): False, (4, 20): False}
    for place, full in cases.items():
        keep = layer.keep.copy()
        if place:
            keep[place] = False
        network, _ = chain_network([KeptLayer(keep, relu=False)], 0, 8)
        assert network.table[0, FULL] == (full and W == 16)
    (narrow,) = layers_of([20, 1], True)
    assert chain_network([narrow], 0, 8)[0].table[0, FULL] == 0
