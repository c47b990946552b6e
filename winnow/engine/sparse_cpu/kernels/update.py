"""The optimizers' rules for W weights at a time, as torch defines them.

Momentum: Sutskever et al. 2013 as in torch, the rate outside the buffer. Adam: Kingma & Ba 2015,
algorithm 1. AdamW: Loshchilov & Hutter 2019, algorithm 2. Only nonzeros are updated, so weight
decay and momentum cannot revive what was removed.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numba import types
from numpy.typing import NDArray

from winnow.kernels.arrays import Floats
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import W, add, div, fma, load_vector, mul, scalar, splat, sqrt, store, sub

RULES = ("sgd", "momentum", "nesterov", "adam", "adamw")
SGD, MOMENTUM, NESTEROV, ADAM, ADAMW = range(5)

# What a rule needs, in float64: set once.
DECAY, MOMENTUM_FACTOR, BETA1, BETA2, EPS = range(5)
# The numbers of one step, in float32, derived from them.
RATE, STEP_DECAY, FACTOR, SHRINK, MIX1, KEEP2, MIX2, STEP, ROOT, STEP_EPS = range(10)


class Trained(Protocol):
    """Weights in training, in arrays of a multiple of W: a `Network`, or just `TrainedArrays`.

    Rules take the tuple whole: with its arrays as arguments of their own, the step of an MLP,
    which updates inside the gradient's loop, measures two to three times as long.
    """

    @property
    def weight(self) -> Floats: ...
    @property
    def first(self) -> Floats: ...
    @property
    def second(self) -> Floats: ...
    @property
    def gradient(self) -> Floats: ...


class TrainedArrays(NamedTuple):
    """Weights and what their updates need, and no network."""

    weight: Floats  # (n,)
    first: Floats  # (n,) momentum buffer, or Adam's first moment; empty for plain SGD
    second: Floats  # (n,) Adam's second moment; empty for SGD
    gradient: Floats  # (n,)


@kernel
def set_step(rule: int, options: NDArray[np.float64], rate: float, t: int, step: Floats) -> None:
    """Fill ``step`` with the numbers of update ``t`` (from 1)."""
    step[RATE] = rate
    step[STEP_DECAY] = 0.0 if rule == ADAMW else options[DECAY]
    step[FACTOR] = options[MOMENTUM_FACTOR]
    step[SHRINK] = 1.0 - rate * options[DECAY] if rule == ADAMW else 1.0
    if rule >= ADAM:
        step[MIX1] = 1.0 - options[BETA1]
        step[KEEP2] = options[BETA2]
        step[MIX2] = 1.0 - options[BETA2]
        step[STEP] = rate / (1.0 - options[BETA1] ** t)
        step[ROOT] = 1.0 / np.sqrt(1.0 - options[BETA2] ** t)
        step[STEP_EPS] = options[EPS]


@kernel
def update_vector(rule: int, step: Floats, net: Trained, k: int, g: Any) -> None:
    """Update the weights k to k + W − 1 with their gradient, the vector ``g``."""
    w = load_vector(net.weight, k)
    g = fma(splat(scalar(step, STEP_DECAY)), w, g)
    if rule >= ADAM:
        store(net.weight, k, _adam(step, net, k, g, w))
    elif rule == SGD:
        store(net.weight, k, sub(w, mul(splat(scalar(step, RATE)), g)))
    else:
        factor = splat(scalar(step, FACTOR))
        buffer = fma(factor, load_vector(net.first, k), g)
        store(net.first, k, buffer)
        if rule == NESTEROV:
            buffer = fma(factor, buffer, g)
        store(net.weight, k, sub(w, mul(splat(scalar(step, RATE)), buffer)))


@kernel
def _adam(step: Floats, net: Trained, k: int, g: Any, w: Any) -> Any:
    m, v = load_vector(net.first, k), load_vector(net.second, k)
    m = fma(splat(scalar(step, MIX1)), sub(g, m), m)
    v = add(mul(splat(scalar(step, KEEP2)), v), mul(splat(scalar(step, MIX2)), mul(g, g)))
    store(net.first, k, m)
    store(net.second, k, v)
    below = fma(sqrt(v), splat(scalar(step, ROOT)), splat(scalar(step, STEP_EPS)))
    return sub(mul(w, splat(scalar(step, SHRINK))), div(mul(splat(scalar(step, STEP)), m), below))


@kernel
def update_with_gradient(rule: int, step: Floats, net: Trained, factor: float) -> None:
    """Update every weight with its stored gradient times ``factor``."""
    scale = splat(np.float32(factor))
    for k in range(0, net.weight.size, W):
        update_vector(rule, step, net, k, mul(scale, load_vector(net.gradient, k)))


@kernel
def update_arrays(
    rule: int,
    step: Floats,
    weight: Floats,
    first: Floats,
    second: Floats,
    gradient: Floats,
    factor: float,
) -> None:
    """`update_with_gradient` for the arrays of `TrainedArrays`."""
    update_with_gradient(rule, step, TrainedArrays(weight, first, second, gradient), factor)


_floats, _int = types.float32[::1], types.int64
ENTRIES = (
    EntryPoint(set_step, (_int, types.float64[::1], types.float64, _int, _floats)),
    EntryPoint(update_arrays, (_int, *[_floats] * 5, types.float64)),
)
