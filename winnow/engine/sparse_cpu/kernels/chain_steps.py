"""Whole training steps, many in one compiled call: no Python and no autograd between them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from winnow.engine.sparse_cpu.kernels.chain_full import (
    full_gradient,
    multiply_full,
    multiply_full_back,
)
from winnow.engine.sparse_cpu.kernels.chain_gradient import tile_gradient
from winnow.engine.sparse_cpu.kernels.chain_network import (
    BACK,
    COLUMN_START,
    DELTA,
    FULL,
    INPUT,
    INPUTS,
    NONZERO,
    OUTPUTS,
    RELU,
    SLABS,
    START,
    ChainNetwork,
)
from winnow.engine.sparse_cpu.kernels.chain_pixels import FlatImages, fetch_ahead, gather_tile
from winnow.engine.sparse_cpu.kernels.chain_product import multiply_tile, multiply_tile_back
from winnow.engine.sparse_cpu.kernels.loss import count_correct, cross_entropy
from winnow.engine.sparse_cpu.kernels.squares import squares, squares_of_tiles
from winnow.engine.sparse_cpu.kernels.update import set_step, update_with_gradient
from winnow.kernels.arrays import Floats, Int64s
from winnow.kernels.compile import EntryPoint, kernel
from winnow.kernels.simd import TILE

_SAFE = 1e37  # a squared gradient norm below this overflows nowhere in float32


@kernel
def layer_input(net: ChainNetwork, layer: int, tile: int) -> Floats:
    """The input (inputs + 1, TILE) of a layer; of the layer after the last: the logits."""
    if layer < len(net.table):
        row = net.table[layer]
        return net.input[row[INPUT] + tile * (row[INPUTS] + 1) * TILE :]
    row = net.table[layer - 1]
    rest = net.input.size - net.delta.size + row[DELTA]
    return net.input[rest + tile * (row[OUTPUTS] + 1) * TILE :]


@kernel
def layer_delta(net: ChainNetwork, layer: int, tile: int) -> Floats:
    """The gradient (outputs + 1, TILE) by the output of a layer, before its ReLU."""
    row = net.table[layer]
    return net.delta[row[DELTA] + tile * (row[OUTPUTS] + 1) * TILE :]


@kernel
def forward_tile(net: ChainNetwork, tile: int) -> None:
    """Activations of all layers from the input of the first, for one tile."""
    for layer in range(len(net.table)):
        row = net.table[layer]
        start = net.start[row[START] :]
        column, weight = net.column[row[NONZERO] :], net.weight[row[NONZERO] :]
        x, out = layer_input(net, layer, tile), layer_input(net, layer + 1, tile)
        rectify = row[RELU] == 1
        if row[FULL] == 1:
            multiply_full(row[SLABS], row[OUTPUTS], start, column, weight, x, out, rectify)
        else:
            multiply_tile(row[SLABS], row[OUTPUTS], start, column, weight, x, out, rectify)


@kernel
def backward_tile(net: ChainNetwork, tile: int) -> None:
    """Deltas of all layers from that of the last, for one tile."""
    for layer in range(len(net.table) - 1, 0, -1):
        row = net.table[layer]
        start, place = net.column_start[row[COLUMN_START] :], net.place[row[BACK] :]
        weight, delta = net.weight[row[NONZERO] :], layer_delta(net, layer, tile)
        x, out = layer_input(net, layer, tile), layer_delta(net, layer - 1, tile)
        rectified = net.table[layer - 1, RELU] == 1
        if row[FULL] == 1:
            multiply_full_back(row[INPUTS], row[OUTPUTS], place, weight, delta, x, out, rectified)
        else:
            rows = net.row[row[BACK] :]
            multiply_tile_back(row[INPUTS], start, rows, place, weight, delta, x, out, rectified)


@kernel
def chain_gradients(net: ChainNetwork, tiles: int, fuse: bool, rule: int, step: Floats) -> None:
    """All gradients, stored; or, with ``fuse``, the weights updated with them at once."""
    for layer in range(len(net.table)):
        row = net.table[layer]
        if row[FULL] == 1 and tiles == 1:
            full_gradient(
                net,
                row[SLABS],
                row[OUTPUTS],
                net.start[row[START] :],
                net.column[row[NONZERO] :],
                row[NONZERO],
                layer_delta(net, layer, 0),
                layer_input(net, layer, 0),
                fuse,
                rule,
                step,
            )
            continue
        for tile in range(tiles):
            tile_gradient(
                net,
                row[SLABS],
                row[OUTPUTS],
                net.start[row[START] :],
                net.column[row[NONZERO] :],
                row[NONZERO],
                layer_delta(net, layer, tile),
                layer_input(net, layer, tile),
                tile > 0,
                fuse and tile == tiles - 1,
                rule,
                step,
            )


@kernel
def gradient_bound(net: ChainNetwork, tiles: int, first: float) -> float:
    """At least the squared norm of the gradient, before it is computed.

    ‖delta xᵀ‖ <= ‖delta‖ ‖x‖ in Frobenius norms. ``first``: a bound of the first layer's ‖x‖².
    """
    result = 0.0
    for layer in range(len(net.table)):
        row = net.table[layer]
        x = first
        if layer > 0:
            x = squares_of_tiles(layer_input(net, layer, 0), tiles * (row[INPUTS] + 1))
        deltas = 0.0
        for tile in range(tiles):
            deltas += squares_of_tiles(layer_delta(net, layer, tile), row[OUTPUTS])
        result += deltas * x
    return result


@kernel
def pass_batch(net: ChainNetwork, images: FlatImages, batch: Int64s, starts: Int64s) -> float:
    """Forward, loss and deltas of a batch (image numbers). Returns the summed loss."""
    last = len(net.table) - 1
    loss = 0.0
    for tile in range((batch.size + TILE - 1) // TILE):
        examples = batch[tile * TILE : (tile + 1) * TILE]
        gather_tile(images, examples, starts, layer_input(net, 0, tile))
        forward_tile(net, tile)
        loss += cross_entropy(
            net.table[last, OUTPUTS],
            TILE,
            layer_input(net, last + 1, tile),
            images.labels,
            examples,
            batch.size,
            layer_delta(net, last, tile),
        )
        backward_tile(net, tile)
    return loss


@kernel
def careful_update(net: ChainNetwork, tiles: int, rule: int, step: Floats, clip: float) -> bool:
    """All gradients first, then their norm, then the update; False, and none, if not finite."""
    chain_gradients(net, tiles, False, rule, step)
    norm = math.sqrt(squares(net.gradient, net.gradient.size))
    if not math.isfinite(norm):
        return False
    factor = clip / (norm + 1e-6) if 0 < clip < norm else 1.0
    update_with_gradient(rule, step, net, factor)
    return True


@kernel
def train_chain(
    net: ChainNetwork,
    images: FlatImages,
    order: Int64s,
    first: int,
    batch: int,
    rates: NDArray[np.float64],
    rule: int,
    options: NDArray[np.float64],
    updates: int,
    clip: float,
    pixel_bound: float,
) -> tuple[int, float]:
    """Train for len(rates) steps of one epoch. Returns how many were made, and their summed loss.

    ``order``: the epoch's image numbers; batch i is order[i·batch : (i+1)·batch], starting at
    i = ``first``. ``updates``: updates made before. ``clip``: the largest gradient norm, 0 for any.
    ``pixel_bound``: the largest square of a normalised pixel. Fewer steps than asked: the loss or
    the gradient's norm of the next one is not finite, and its update was not made.
    """
    starts = np.empty(TILE, np.int64)
    step = np.empty(10, np.float32)
    losses = 0.0
    for i in range(rates.size):
        chosen = order[(first + i) * batch : (first + i + 1) * batch]
        loss = pass_batch(net, images, chosen, starts) / chosen.size
        if not math.isfinite(np.float32(loss)):
            return i, losses
        tiles = (chosen.size + TILE - 1) // TILE
        set_step(rule, options, rates[i], updates + i + 1, step)
        fetch_ahead(images, order[(first + i + 1) * batch : (first + i + 2) * batch])
        pixels = pixel_bound * (net.table[0, INPUTS] + 1) * tiles * TILE
        if clip == 0 and gradient_bound(net, tiles, pixels) < _SAFE:
            chain_gradients(net, tiles, True, rule, step)
        elif not careful_update(net, tiles, rule, step, clip):
            return i, losses
        losses += loss
    return rates.size, losses


@kernel
def evaluate_chain(net: ChainNetwork, images: FlatImages, examples: Int64s) -> tuple[float, int]:
    """Summed loss and right answers of these images."""
    starts = np.empty(TILE, np.int64)
    last = len(net.table) - 1
    classes = net.table[last, OUTPUTS]
    loss, correct = 0.0, 0
    for begin in range(0, examples.size, TILE):
        some = examples[begin : begin + TILE]
        gather_tile(images, some, starts, layer_input(net, 0, 0))
        forward_tile(net, 0)
        logits = layer_input(net, last + 1, 0)
        delta = layer_delta(net, last, 0)
        loss += cross_entropy(classes, TILE, logits, images.labels, some, 1, delta)
        correct += count_correct(classes, TILE, logits, images.labels, some)
    return loss, correct


# ---- what they are compiled for

_floats, _integers, _numbers = types.float32[::1], types.int32[::1], types.int64[::1]
_named: Any = types.NamedTuple
_network = _named(
    [types.int64[:, ::1], *[_integers] * 5, *[_floats] * 7],
    ChainNetwork,
)
_images = _named([types.uint8[::1], _numbers, _floats, _floats, _floats], FlatImages)
_int, _float, _doubles = types.int64, types.float64, types.float64[::1]
_training: tuple[Any, ...] = (
    *(_network, _images, _numbers, _int, _int, _doubles),
    *(_int, _doubles, _int, _float, _float),
)
ENTRIES = (
    EntryPoint(train_chain, _training),
    EntryPoint(evaluate_chain, (_network, _images, _numbers)),
)
