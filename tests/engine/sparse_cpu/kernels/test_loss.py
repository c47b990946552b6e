"""The loss of a batch in groups of W examples against torch in float64.

Also run on narrower vectors, as another machine would, by `test_widths`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.engine.sparse_cpu.graph.map import Map
from winnow.engine.sparse_cpu.kernels.loss import ENTRIES, batch_correct, batch_cross_entropy
from winnow.kernels.cache import prepare
from winnow.kernels.simd import W

IMAGES = 50


@pytest.fixture(autouse=True, scope="module")
def _compiled():
    prepare("loss", ENTRIES)


def both(logits: torch.Tensor, labels, examples):
    """Loss, gradient and right answers of logits (B, classes)."""
    layout = Map(logits.shape[1])
    x, delta = layout.pack(logits), layout.pack(torch.full_like(logits, 9.0))
    loss = batch_cross_entropy(layout.channels, x, labels, examples, delta)
    return loss, delta, batch_correct(layout.channels, x, labels, examples)


@given(
    st.integers(1, 2 * W + 1), st.integers(1, 12), st.sampled_from([0.1, 3, 60]), st.integers(0, 99)
)
@settings(deadline=None)
def test_loss_gradient_and_right_answers(batch, classes, scale, seed):
    draw = np.random.default_rng(seed)
    logits = torch.from_numpy(draw.normal(size=(batch, classes)) * scale).float()
    labels, examples = draw.integers(0, classes, IMAGES), draw.integers(0, IMAGES, batch)
    loss, delta, correct = both(logits, labels, examples)
    wide, y = logits.double().requires_grad_(), torch.from_numpy(labels[examples])
    expected = F.cross_entropy(wide, y)
    expected.backward()
    assert loss / batch == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)
    gradient = Map(classes).pack(wide.grad)  # 0 in the elements without example
    np.testing.assert_allclose(delta, gradient, rtol=1e-5, atol=3e-7 / batch)
    assert correct == int((logits.argmax(1) == y).sum())


def test_the_first_of_equal_logits_counts():
    logits = torch.tensor([[2.0, 2, 1], [0, 3, 3], [5, 5, 5]])
    labels, examples = np.array([1, 1, 0]), np.arange(3)
    assert both(logits, labels, examples)[2] == 2


@pytest.mark.parametrize("example", [0, W])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_give_a_loss_that_is_none(example, value):
    logits = torch.zeros(W + 1, 3)
    logits[example, 1] = value
    loss, _, _ = both(logits, np.zeros(W + 1, np.int64), np.arange(W + 1))
    assert not math.isfinite(loss)


def test_an_impossible_label_costs_without_end():
    loss, _, _ = both(torch.tensor([[0.0, -math.inf]]), np.array([1]), np.array([0]))
    assert loss == math.inf
