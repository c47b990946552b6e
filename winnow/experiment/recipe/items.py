"""The figures and tables of the five papers, as data: what recipes can say that they reproduce.

An id is PAPER/NUMBER for a figure and PAPER/table-NUMBER for a table; PAPER is the folder of its
recipes. Titles are in our words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from winnow.errors import unknown


@dataclass(frozen=True)
class Item:
    """A figure or table of a paper. ``reason``: why it has no recipe, where it cannot have one."""

    id: str
    title: str
    reason: str = ""


_LTH = (
    "Early stopping and accuracy of tickets and random masks: LeNet, Conv-2, Conv-4, Conv-6",
    "The networks: weights, iterations, optimizers, pruning rates (a table)",
    "LeNet: test accuracy as training proceeds",
    "LeNet: early stopping and accuracy, iterative and one-shot, reinitialised",
    "Conv-2, Conv-4, Conv-6: early stopping and accuracy, reinitialised",
    "Conv-2, Conv-4, Conv-6 with dropout",
    "VGG-19, global pruning: test accuracy at three iterations, by learning rate",
    "ResNet-18, global pruning: test accuracy at three iterations, by learning rate",
    "LeNet: resetting against continued training",
    "Conv-2, Conv-4, Conv-6: resetting against continued training",
    "LeNet: validation loss as training proceeds",
    "LeNet: figure 4 with training accuracy at the end",
    "Conv-2, Conv-4, Conv-6: figure 5 with training accuracy at the end",
    "All networks: reinitialised tickets against random masks",
    "LeNet, Adam: initial weights of tickets",
    "LeNet, SGD: initial weights of tickets",
    "LeNet: tickets with weights drawn from tickets' own",
    "LeNet: pruning at iteration 0",
    "LeNet: how far weights in and outside of tickets move",
    "LeNet: whether weights in and outside of tickets move away from 0",
    "LeNet, Adam: incoming connections of units",
    "LeNet, SGD: incoming connections of units",
    "LeNet, Adam: outgoing connections of units",
    "LeNet, SGD: outgoing connections of units",
    "LeNet: noise on the initial weights of tickets",
    "LeNet: learning rates of Adam",
    "LeNet: learning rates of SGD",
    "LeNet: learning rates of SGD with momentum",
    "LeNet: pruning rates",
    "LeNet: standard deviations of Gaussian initial weights",
    "LeNet: sizes of the hidden layers",
    "Conv-2, Conv-4, Conv-6: learning rates of Adam",
    "Conv-2, Conv-4, Conv-6: learning rates of SGD",
    "Conv-2, Conv-4, Conv-6: learning rates of SGD with momentum",
    "Conv-2, Conv-4, Conv-6: pruning rates of convolutions",
    "Conv-2, Conv-4, Conv-6 with dropout: learning rates of Adam",
    "Conv-2, Conv-4, Conv-6: pruning convolutions, fully-connected layers or both",
    "VGG-19: global against layer-wise pruning",
    "ResNet-18: global against layer-wise pruning",
    "VGG-19: figure 7 with layer-wise pruning",
    "ResNet-18: figure 8 with layer-wise pruning",
    "ResNet-18: learning rates",
    "VGG-19: learning rates",
    "ResNet-18: iterations of warm-up",
    "VGG-19: iterations of warm-up",
)

_STABILIZING = (
    "CIFAR-10: accuracy under learning-rate schedules",
    "The networks for MNIST and CIFAR-10 (a table)",
    "Data order stability of tickets and random masks (a table)",
    "LeNet, ResNet-18, VGG-19: stability and accuracy by rewinding iteration",
    "CIFAR-10: accuracy of tickets rewound to an early iteration",
    "The networks for ImageNet (a table)",
    "ImageNet: stability and accuracy by rewinding epoch",
    "ImageNet: accuracy of tickets rewound to an early epoch",
    "VGG-19 and ResNet-18: iterative pruning and SNIP",
    "Stability of tickets and random masks as an angle (a table)",
    "LeNet, ResNet-18, VGG-19: angles by rewinding iteration",
    "ImageNet: angles by rewinding epoch",
)

_GRASP = (
    "Training and test loss of SNIP and GraSP, ResNet-32 on CIFAR-100",
    "Gradient norm after pruning, ResNet-32 on CIFAR-100",
    "Weights that each layer keeps",
)
_GRASP_TABLES = (
    "GraSP against random pruning on CIFAR-10 and CIFAR-100",
    "VGG-19 and ResNet-32 on CIFAR-10 and CIFAR-100, all methods",
    "ResNet-50 and VGG-16 on ImageNet",
    "VGG-19 and ResNet-32 on Tiny-ImageNet, all methods",
    "ResNet-32: batch sizes and initialisations",
)

_DATA_DEPENDENT = (
    "VGG-11: accuracy of the pruning strategies",
    "VGG-16: accuracy of the pruning strategies",
    "VGG-11, last convolution: weights, gradients and products, pruned by magnitude",
    "VGG-11, last convolution: weights, gradients and products, pruned by sensitivity",
    "VGG-11: weights kept by layer, sensitivity over magnitude",
    "VGG-11: weights kept by layer",
    "ResNet-20: accuracy of the pruning strategies",
    "ResNet-20, last layer: weights, gradients and products, pruned by magnitude",
    "ResNet-20, last layer: weights, gradients and products, pruned by sensitivity",
)

_JACKPOTS = (
    "ResNet-50 on ImageNet: cost against accuracy",
    "Searches in trained and in random networks",
    "Accuracy of searched masks and of pruning criteria without training",
    "Overlap of searched masks and of pruning criteria",
    "How fast searches converge from several first masks",
    "ResNet-50 on ImageNet: searches in trained and in random networks",
    "ResNet-32: searched masks, and fine-tuned",
)
_JACKPOTS_TABLES = (
    "VGG-19 and ResNet-32 on CIFAR-10",
    "VGG-19 and ResNet-32 on CIFAR-100",
    "ResNet-50 on ImageNet",
    "ResNet-32: epochs of search, and overlap with magnitude pruning",
)


def _numbered(prefix: str, titles: Iterable[str]) -> list[Item]:
    return [Item(f"{prefix}{number}", title) for number, title in enumerate(titles, 1)]


ITEMS: Mapping[str, Item] = {
    item.id: item
    for item in (
        *_numbered("lth/", _LTH),
        *_numbered("stabilizing/", _STABILIZING),
        *_numbered("grasp/", _GRASP),
        *_numbered("grasp/table-", _GRASP_TABLES),
        *_numbered("data-dependent/", _DATA_DEPENDENT),
        *_numbered("jackpots/", _JACKPOTS),
        *_numbered("jackpots/table-", _JACKPOTS_TABLES),
    )
}
"""Every figure and table by its id, in the order of the papers."""


def check_items(ids: Iterable[str]) -> None:
    """Raises UserError, naming it, for an id that is no figure or table."""
    for one in ids:
        if one not in ITEMS:
            raise unknown("figure or table", one, ITEMS, "`winnow recipes --items` lists them")
