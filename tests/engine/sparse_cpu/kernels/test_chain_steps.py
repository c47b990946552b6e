"""Loss and gradients of the kernels against autograd in float64, on drawn networks.

Also run on narrower vectors, as another machine would, by `test_widths`.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from winnow.engine.sparse_cpu.chain.lists import KeptLayer
from winnow.engine.sparse_cpu.chain.network import chain_network
from winnow.engine.sparse_cpu.kernels.chain_network import NONZERO, ChainNetwork
from winnow.engine.sparse_cpu.kernels.chain_pixels import FlatImages
from winnow.engine.sparse_cpu.kernels.chain_steps import ENTRIES, evaluate_chain, train_chain
from winnow.engine.sparse_cpu.kernels.groups import prepare_chain_kernels
from winnow.engine.sparse_cpu.kernels.update import SGD

IMAGES = 70
SIZES = st.lists(st.integers(1, 70), min_size=2, max_size=5)
DENSITIES = st.sampled_from([1.0, 0.5, 0.1, 0.02, 0.0])


def draw_layers(draw, sizes, density) -> list[KeptLayer]:
    """Layers with random nonzeros; some rows and columns are empty, some layers have no bias."""
    layers = []
    for depth, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        keep = draw.random((outputs, inputs + 1)) < density
        keep[draw.integers(outputs)] &= draw.random() < 0.5
        keep[:, draw.integers(inputs)] &= draw.random() < 0.5
        keep[:, -1] = draw.random() < 0.8
        relu = depth < len(sizes) - 2 and draw.random() < 0.8
        layers.append(KeptLayer(keep, bool(relu)))
    return layers


def draw_images(draw, features: int, classes: int) -> FlatImages:
    scale, shift = draw.uniform(0.005, 0.02, features), draw.normal(size=features)
    factor = draw.uniform(0.2, 2.0, IMAGES if draw.random() < 0.5 else 0)
    return FlatImages(
        draw.integers(0, 256, IMAGES * features, dtype=np.uint8),
        draw.integers(0, classes, IMAGES),
        scale.astype(np.float32),
        shift.astype(np.float32),
        factor.astype(np.float32),
    )


def fill(draw, network: ChainNetwork, flat, layers) -> list[torch.Tensor]:
    """Give the network random weights; returns them dense (outputs, inputs + 1), in float64."""
    dense = []
    for layer, places, row in zip(layers, flat, network.table, strict=True):
        weight = draw.normal(size=layer.keep.shape) / np.sqrt(layer.keep.sum(1).mean() + 1)
        weight = np.where(layer.keep, weight, 0).astype(np.float32)
        network.weight[row[NONZERO] : row[NONZERO] + len(places)] = weight.reshape(-1)[places]
        dense.append(torch.from_numpy(weight.astype(np.float64)).requires_grad_())
    return dense


def differentiate(network: ChainNetwork, images: FlatImages, batch: np.ndarray) -> float:
    """The mean loss of a batch; the network keeps its gradient, and its weights as they are.

    A step with rate 0 in which the gradient could be clipped, but is not.
    """
    before = network.weight.copy()
    made, loss = train_chain(
        network, images, batch, 0, len(batch), np.zeros(1), SGD, np.zeros(5), 0, 1e30, 1.0
    )
    assert made == 1
    assert np.array_equal(network.weight, before)
    return loss


def logits_of(dense, layers, images: FlatImages, batch) -> torch.Tensor:
    pixels = images.pixels.reshape(IMAGES, -1)[batch].astype(np.float64)
    factors = images.factor[batch, None] if images.factor.size else 1.0
    x = torch.from_numpy((pixels * images.scale + images.shift) * factors)
    for weight, layer in zip(dense, layers, strict=True):
        x = F.linear(x, weight[:, :-1], weight[:, -1])
        x = F.relu(x) if layer.relu else x
    return x


@given(SIZES, DENSITIES, st.integers(1, IMAGES), st.integers(0, 2**32 - 1))
@example([64, 32, 10], 1.0, 64, 0)  # everything a multiple of every width
@example([300, 3, 2], 1.0, 60, 1)  # several slabs
@example([3, 2], 0.0, 1, 2)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_loss_and_gradients(sizes, density, batch_size, seed):
    draw = np.random.default_rng(seed)
    layers = draw_layers(draw, sizes, density)
    network, lists = chain_network(layers, 0, batch_size)
    flat = [one.places.flat for one in lists]
    images = draw_images(draw, sizes[0], sizes[-1])
    dense = fill(draw, network, flat, layers)
    batch = draw.permutation(IMAGES)[:batch_size]
    prepare_chain_kernels()
    loss = differentiate(network, images, batch)

    logits = logits_of(dense, layers, images, batch)
    expected = F.cross_entropy(logits, torch.from_numpy(images.labels[batch]))
    gradients = torch.autograd.grad(expected, dense)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-5)
    for gradient, places, row in zip(gradients, flat, network.table, strict=True):
        mine = network.gradient[row[NONZERO] : row[NONZERO] + len(places)]
        size = float(gradient.abs().max())
        theirs = gradient.numpy().reshape(-1)[places]
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=2e-5 * size + 1e-9)


@given(st.integers(1, IMAGES), st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_evaluation(count, seed):
    draw = np.random.default_rng(seed)
    layers = draw_layers(draw, [19, 7, 5], 0.5)
    network, lists = chain_network(layers, 0, 8)
    flat = [one.places.flat for one in lists]
    images = draw_images(draw, 19, 5)
    dense = fill(draw, network, flat, layers)
    some = draw.permutation(IMAGES)[:count]
    prepare_chain_kernels()
    loss, correct = evaluate_chain(network, images, some)
    logits, labels = logits_of(dense, layers, images, some), torch.from_numpy(images.labels[some])
    expected = F.cross_entropy(logits, labels, reduction="sum").item()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert correct == int((logits.argmax(1) == labels).sum())


def test_shapes_compile_nothing():
    prepare_chain_kernels()
    for sizes in ([5, 3], [200, 7, 2], [16, 16, 16, 16, 16]):
        test_loss_and_gradients.hypothesis.inner_test(sizes, 0.5, 9, 3)
    for entry in ENTRIES:
        assert len(entry.kernel.signatures) == 1
        assert sum(entry.kernel.stats.cache_misses.values()) <= 1
        with np.testing.assert_raises(TypeError):
            entry.kernel(1.0)
