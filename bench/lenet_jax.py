"""LeNet's steps in JAX, as strong as they can be made: the dense peer of the LeNet benches.

All steps of a call are one compiled scan whose state is donated. The backward pass is written out,
weights lie as (outputs, inputs), images stay bytes and are gathered and normalised inside the scan;
weights start masked and boolean masks set their gradients to 0, so that zeros stay; at density 1
there is no mask. Each of these was the fastest of what was tried.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from lenet import BATCH, MEAN, RATE, STD, Advance, network, random_mask
from torch import Tensor

BETAS, EPS = (0.9, 0.999), 1e-8
FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def jax_steps(density: float, x: Tensor, y: Tensor) -> Advance | None:
    """Trains so many iterations in JAX on one core; None, said on stderr, where JAX is not here."""
    jax = _jax()
    if jax is None:
        print("no JAX here (pip install 'jax[cpu]'): that peer is left out", file=sys.stderr)
        return None
    jnp, rng = jax.numpy, jax.random
    pixels, labels = jnp.asarray(x.flatten(1).numpy()), jnp.asarray(y.numpy().astype("int32"))
    model = network()
    masks = [mask.float() for mask in random_mask(model, density).values()]
    layers = zip(*(iter(model.parameters()),) * 2, masks, strict=True)
    weights = [(w.detach() * mask, b.detach()) for w, b, mask in layers]
    params = [(jnp.asarray(w.numpy()), jnp.asarray(b.numpy())) for w, b in weights]
    of_gradient = None if density == 1 else [jnp.asarray(mask.bool().numpy()) for mask in masks]
    moments = jax.tree.map(jnp.zeros_like, params)
    carry = (params, moments, jax.tree.map(jnp.zeros_like, params), jnp.float32(0))

    @functools.partial(jax.jit, donate_argnums=0)
    def train(carry: Any, order: Any) -> Any:
        return jax.lax.scan(
            lambda state, chosen: _step(jax, state, pixels[chosen], labels[chosen], of_gradient),
            carry,
            order,
        )

    key = rng.key(0)

    def advance(count: int) -> None:
        nonlocal carry, key
        key, drawn = rng.split(key)
        order = rng.randint(drawn, (count, BATCH), 0, len(y))
        carry, losses = train(carry, order)
        assert bool(jnp.isfinite(losses[-1])), "what is timed must not diverge"

    return advance


def _step(jax: Any, state: Any, images: Any, labels: Any, masks: Any) -> Any:
    """One step of Adam: the state after it, and the loss."""
    jnp, nn = jax.numpy, jax.nn
    params, first, second, t = state
    inputs = [images.astype(jnp.float32) * (1 / STD) - MEAN / STD]
    for depth, (weight, bias) in enumerate(params):
        out = _product(jax, inputs[-1], weight, 1, 1) + bias
        inputs.append(out if depth == len(params) - 1 else nn.relu(out))
    logs, right = nn.log_softmax(inputs[-1]), nn.one_hot(labels, 10)
    delta = (jnp.exp(logs) - right) / BATCH
    gradients: list[Any] = []
    for depth in reversed(range(len(params))):
        gradients.insert(0, (_product(jax, delta, inputs[depth], 0, 0), delta.sum(0)))
        if depth > 0:
            delta = _product(jax, delta, params[depth][0], 1, 0) * (inputs[depth] > 0)
    if masks is not None:
        pairs = zip(gradients, masks, strict=True)
        gradients = [(jnp.where(mask, w, 0), b) for (w, b), mask in pairs]
    t = t + 1
    size = RATE / (1 - BETAS[0] ** t)
    root = 1 / jnp.sqrt(1 - BETAS[1] ** t)
    first = jax.tree.map(lambda m, g: m + (1 - BETAS[0]) * (g - m), first, gradients)
    second = jax.tree.map(lambda v, g: BETAS[1] * v + (1 - BETAS[1]) * g * g, second, gradients)
    params = jax.tree.map(
        lambda p, m, v: p - size * m / (jnp.sqrt(v) * root + EPS), params, first, second
    )
    return (params, first, second, t), -jnp.sum(logs * right) / BATCH


def _product(jax: Any, a: Any, b: Any, of_a: int, of_b: int) -> Any:
    """The product of two matrices over one axis of each."""
    return jax.lax.dot_general(a, b, (((of_a,), (of_b,)), ((), ())))


def _jax() -> Any:
    """JAX on the processor with one thread that runs what it is given at once; None without JAX."""
    os.environ["XLA_FLAGS"] = FLAGS
    try:
        jax = importlib.import_module("jax")
    except ImportError:
        return None
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    with _one_core():  # XLA has as many threads as cores when it begins, whatever its flags say
        jax.devices()
    return jax


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Where the system can tell, this process may use one core only."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
