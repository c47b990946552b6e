"""Softmax cross-entropy of one tile, its gradient, and the number of right answers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from winnow.engine.sparse_cpu.cache import kernel
from winnow.engine.sparse_cpu.network import Floats
from winnow.engine.sparse_cpu.simd import (
    TILE,
    W,
    add,
    exp,
    load,
    maximum,
    mul,
    splat,
    store,
    sub,
)


@kernel
def cross_entropy(
    classes: int,
    logits: Floats,
    labels: NDArray[np.int64],
    examples: NDArray[np.int64],
    batch: int,
    delta: Floats,
) -> float:
    """The sum of −log softmax(logits) at the labels, in float64; delta: its gradient / batch.

    logits, delta (classes, TILE); the tile's examples, at most TILE, have labels[examples]. delta
    is 0 where there is no example. NaN or infinite logits give NaN or an infinite loss.
    """
    top, sums = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    for lane in range(0, TILE, W):
        highest = load(logits, lane)
        for c in range(1, classes):
            highest = maximum(highest, load(logits, c * TILE + lane))
        total = splat(np.float32(0))
        for c in range(classes):
            e = exp(sub(load(logits, c * TILE + lane), highest))
            store(delta, c * TILE + lane, e)
            total = add(total, e)
        store(top, lane, highest)
        store(sums, lane, total)
    loss = 0.0
    count = examples.size
    for i in range(count):
        logit = np.float64(logits[labels[examples[i]] * TILE + i])
        loss += math.log(np.float64(sums[i])) + (np.float64(top[i]) - logit)
        sums[i] = np.float32(1) / (sums[i] * np.float32(batch))
    sums[count:] = np.float32(0)
    for c in range(classes):
        for lane in range(0, TILE, W):
            at = c * TILE + lane
            store(delta, at, mul(load(delta, at), load(sums, lane)))
    for i in range(count):
        delta[labels[examples[i]] * TILE + i] -= np.float32(1) / np.float32(batch)
    return loss


@kernel
def count_correct(
    classes: int, logits: Floats, labels: NDArray[np.int64], examples: NDArray[np.int64]
) -> int:
    """How often the highest logit, the first of equal ones, is the label's."""
    correct = 0
    for i in range(examples.size):
        best = 0
        for c in range(1, classes):
            if logits[c * TILE + i] > logits[best * TILE + i]:
                best = c
        correct += best == labels[examples[i]]
    return correct
