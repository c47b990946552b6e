"""The JAX rival: whole training steps under jit, on one core; run by ``elsewhere.py``.

Needs jax and numpy, and nothing of Winnow: LeNet-300-100, Conv-6, VGG-19 and ResNet-20 as pure
functions of weights that are named as torch names them. Images lie channels-last. A LeNet's steps
are one `lax.scan`; XLA runs convolutions in a loop slowly, so those networks' steps are calls.
"""

import functools
import json
import os
import sys
import time

if hasattr(os, "sched_setaffinity"):  # before JAX counts the cores
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

SCANNED = 50  # steps of one scan
VGG = {"vgg-11": (1, 1, 2, 2, 2), "vgg-16": (2, 2, 3, 3, 3), "vgg-19": (2, 2, 4, 4, 4)}
BETAS, EPS = (0.9, 0.999), 1e-8
COLD = 64 * 2**20  # bytes, as in turns.py


def conv(p, name, x, stride=1):
    """A convolution that keeps the size of images, or divides it by its stride."""
    kernel = p[f"{name}.weight"]  # (height, width, inputs, outputs)
    border = kernel.shape[0] // 2
    sides = ((border, border), (border, border))
    kinds = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(x, kernel, (stride, stride), sides, dimension_numbers=kinds)
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def norm(p, seen, name, x):
    """Batch norm in training; its running statistics go to ``seen``."""
    mean = x.mean((0, 1, 2))
    spread = jnp.square(x - mean).mean((0, 1, 2))
    count = x.size // x.shape[-1]
    for kind, value in (("mean", mean), ("var", spread * count / (count - 1))):
        seen[f"{name}.running_{kind}"] = value
    return (x - mean) * (lax.rsqrt(spread + 1e-5) * p[f"{name}.weight"]) + p[f"{name}.bias"]


def linear(p, name, x):
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def lenet(p, _seen, x):
    x = x.reshape(len(x), -1)
    for k in range(2):
        x = jax.nn.relu(linear(p, f"hidden.{k}", x))
    return linear(p, "output", x)


def convs(p, _seen, x):
    for k in range(sum(name.startswith("convs.") for name in p) // 2):
        x = jax.nn.relu(conv(p, f"convs.{k}", x))
        x = pool(x) if k % 2 else x
    x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # as torch flattens
    for k in range(2):
        x = jax.nn.relu(linear(p, f"hidden.{k}", x))
    return linear(p, "output", x)


def vgg(p, seen, x, blocks):
    for b, count in enumerate(blocks):
        x = pool(x) if b else x
        for k in range(count):
            unit = f"blocks.{b}.{k}"
            x = jax.nn.relu(norm(p, seen, f"{unit}.1", conv(p, f"{unit}.0", x)))
    return linear(p, "output", x.mean((1, 2)))


def resnet(p, seen, x):
    x = jax.nn.relu(norm(p, seen, "norm", conv(p, "conv", x)))
    for k in range(9):
        at = f"blocks.{k}"
        stride = 2 if k in (3, 6) else 1
        y = jax.nn.relu(norm(p, seen, f"{at}.norm1", conv(p, f"{at}.conv1", x, stride)))
        y = norm(p, seen, f"{at}.norm2", conv(p, f"{at}.conv2", y))
        if f"{at}.shortcut.0.weight" in p:
            x = norm(p, seen, f"{at}.shortcut.1", conv(p, f"{at}.shortcut.0", x, stride))
        x = jax.nn.relu(y + x)
    return linear(p, "output", x.mean((1, 2)))


def network(name):
    if name in VGG:
        return functools.partial(vgg, blocks=VGG[name])
    return {"lenet-300-100": lenet, "conv-2": convs, "conv-6": convs, "resnet-20": resnet}[name]


def turned(array):
    """A weight of torch as JAX multiplies it."""
    order = {4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim)
    return jnp.asarray(array.transpose(order) if order else array)


def make_step(name, optimizer, rate, decay, momentum):
    """(weights, slots, running statistics, step) and a batch -> the same, one step later."""
    logits_of = network(name)

    def loss_of(p, x, y):
        seen = {}
        logits = logits_of(p, seen, x)
        chosen = jnp.take_along_axis(logits, y[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(logits, 1) - chosen).mean(), seen

    def adam(p, g, slot, t):
        m = slot[0] + (g - slot[0]) * (1 - BETAS[0])
        v = slot[1] * BETAS[1] + g * g * (1 - BETAS[1])
        root = jnp.sqrt(v / (1 - BETAS[1] ** t)) + EPS
        return p - rate / (1 - BETAS[0] ** t) * m / root, (m, v)

    def sgd(p, g, slot, _t):
        u = slot[0] * momentum + g + decay * p
        return p - rate * u, (u, slot[1])

    def step(state, x, y):
        p, slots, running, t = state
        (_, seen), g = jax.value_and_grad(loss_of, has_aux=True)(p, x, y)
        moved = {n: (adam if optimizer == "adam" else sgd)(p[n], g[n], slots[n], t) for n in p}
        p, slots = ({n: both[k] for n, both in moved.items()} for k in (0, 1))
        running = {n: 0.9 * running[n] + 0.1 * value for n, value in seen.items()}
        return p, slots, running, t + 1.0

    return step, loss_of


def train():
    about, start = json.loads(sys.argv[1]), dict(np.load(sys.argv[2]))
    pixels = jnp.asarray(start.pop("pixels").transpose(0, 2, 3, 1))
    labels = jnp.asarray(start.pop("labels").astype(np.int32))
    running = {n: jnp.asarray(start.pop(n)) for n in list(start) if ".running_" in n}
    weights = {n: turned(array) for n, array in start.items()}
    batch, scanned = about["batch"], about["network"].startswith("lenet")
    step, loss_of = make_step(
        about["network"], about["optimizer"], about["rate"], about["decay"], about["momentum"]
    )
    print(float(loss_of(weights, pixels[:batch], labels[:batch])[0]), flush=True)
    slots = {n: (jnp.zeros_like(w), jnp.zeros_like(w)) for n, w in weights.items()}
    state = (weights, slots, running, jnp.float32(1))

    def one(state, chosen):
        return step(state, pixels[chosen], labels[chosen]), None

    single = jax.jit(lambda state, chosen: one(state, chosen)[0], donate_argnums=0)
    many = jax.jit(lambda state, order: lax.scan(one, state, order)[0], donate_argnums=0)
    draw, rubbish = np.random.default_rng(0), np.zeros(COLD // 8)

    def advance(state, count):
        order = draw.integers(0, len(labels), (count, batch)).astype(np.int32)
        while scanned and len(order) >= SCANNED:
            state, order = many(state, order[:SCANNED]), order[SCANNED:]
        for chosen in order:
            state = single(state, chosen)
        return jax.block_until_ready(state)

    state = advance(state, SCANNED + 1 if scanned else 1)  # compiles
    for line in sys.stdin:
        np.add(rubbish, 1.0, out=rubbish)
        began = time.process_time()
        state = advance(state, int(line))
        print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    train()
