"""Softmax cross-entropy, its gradient, and the number of right answers."""

from __future__ import annotations

import math

import numpy as np
from numba import types

from winnow.kernels.arrays import Floats, Int64s
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import (
    TILE,
    W,
    add,
    exp,
    load_vector,
    maximum,
    mul,
    splat,
    store,
    sub,
)


@kernel
def cross_entropy(
    classes: int,
    wide: int,
    logits: Floats,
    labels: Int64s,
    examples: Int64s,
    batch: int,
    delta: Floats,
) -> float:
    """The sum of −log softmax(logits) at the labels, in float64; delta: its gradient / batch.

    logits, delta (classes, wide), ``wide`` a multiple of W up to TILE; the examples, at most
    ``wide``, have labels[examples]. delta is 0 where there is no example. NaN or infinite logits
    give NaN or an infinite loss.
    """
    top, sums = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    for k in range(0, wide, W):
        highest = load_vector(logits, k)
        for c in range(1, classes):
            highest = maximum(highest, load_vector(logits, c * wide + k))
        total = splat(np.float32(0))
        for c in range(classes):
            e = exp(sub(load_vector(logits, c * wide + k), highest))
            store(delta, c * wide + k, e)
            total = add(total, e)
        store(top, k, highest)
        store(sums, k, total)
    loss = 0.0
    count = examples.size
    for i in range(count):
        logit = np.float64(logits[labels[examples[i]] * wide + i])
        loss += math.log(np.float64(sums[i])) + (np.float64(top[i]) - logit)
        sums[i] = np.float32(1) / (sums[i] * np.float32(batch))
    sums[count:] = np.float32(0)
    for c in range(classes):
        for k in range(0, wide, W):
            at = c * wide + k
            store(delta, at, mul(load_vector(delta, at), load_vector(sums, k)))
    for i in range(count):
        delta[labels[examples[i]] * wide + i] -= np.float32(1) / np.float32(batch)
    return loss


@kernel
def count_correct(classes: int, wide: int, logits: Floats, labels: Int64s, examples: Int64s) -> int:
    """How often the highest logit, the first of equal ones, is the label's."""
    correct = 0
    for i in range(examples.size):
        best = 0
        for c in range(1, classes):
            if logits[c * wide + i] > logits[best * wide + i]:
                best = c
        correct += best == labels[examples[i]]
    return correct


@kernel
def batch_cross_entropy(
    classes: int,
    logits: Floats,
    labels: Int64s,
    examples: Int64s,
    delta: Floats,
) -> float:
    """`cross_entropy` of a whole batch whose logits lie as a `Map` (groups, classes, W).

    The sum of the losses; ``delta``: the gradient of their mean.
    """
    loss = 0.0
    for first in range(0, examples.size, W):
        some = examples[first : first + W]
        at = first * classes
        loss += cross_entropy(classes, W, logits[at:], labels, some, examples.size, delta[at:])
    return loss


@kernel
def batch_correct(classes: int, logits: Floats, labels: Int64s, examples: Int64s) -> int:
    """`count_correct` of a whole batch whose logits lie as a `Map` (groups, classes, W)."""
    correct = 0
    for first in range(0, examples.size, W):
        some = examples[first : first + W]
        correct += count_correct(classes, W, logits[first * classes :], labels, some)
    return correct


_floats, _numbers = types.float32[::1], types.int64[::1]
ENTRIES = (
    EntryPoint(batch_cross_entropy, (types.int64, _floats, _numbers, _numbers, _floats)),
    EntryPoint(batch_correct, (types.int64, _floats, _numbers, _numbers)),
)
