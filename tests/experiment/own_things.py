"""A network and data of a user's own, as files in a folder, and a recipe that names them."""

from __future__ import annotations

import yaml

NET = """
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, inputs, classes, width):
        super().__init__()
        c, h, w = inputs
        self.scale = torch.randn(1)  # neither a weight nor a buffer
        self.first = nn.Linear(c * h * w, width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, classes)

    def forward(self, x):
        x = F.dropout(F.gelu(self.norm(self.first(x.flatten(1)))), 0.2, self.training)
        return self.out(x) * self.scale.abs()


def build(inputs, classes, width=8):
    return Net(inputs, classes, width)
"""

CONV = """
from torch import nn


def build(inputs, classes, width=4):
    c, h, w = inputs
    return nn.Sequential(
        nn.Conv2d(c, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.AvgPool2d(h), nn.Flatten(),
        nn.Linear(2 * width, classes),
    )
"""

DATA = """
import numpy as np


def made(dtype="float32", shape=(12,)):
    generator = np.random.default_rng(0)
    y = np.concatenate([np.arange(3), generator.integers(0, 3, 177)])
    x = generator.integers(0, 40, (180, *shape)) + 30 * (y + 1).reshape(-1, *[1] * len(shape))
    x = x.astype(dtype)
    return {"train": (x[:120], y[:120]), "test": (x[120:], y[120:])}


def images():
    return made("uint8", (2, 4, 4))


def float_images():
    return made("float32", (2, 4, 4))
"""

TOKENS = """
import numpy as np
import torch
from torch import nn

VOCABULARY = 11


def sentences(dtype="int64"):
    generator = np.random.default_rng(0)
    y = np.arange(160) % 2
    x = (generator.integers(0, 5, (160, 6)) + 6 * y[:, None]).astype(dtype)
    return (x[:100], y[:100]), (x[100:], y[100:])


def letters():
    return sentences("uint8")


class Reader(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.out = nn.Linear(8, classes)

    def forward(self, x):
        return self.out(self.encoder(self.words(x.flatten(1).long())).mean(1))
"""

RECIPE = {
    "title": "Mine",
    "data": {"name": "data.py:made", "validation": 20},
    "model": {"name": "net.py:build", "options": {"width": 6}},
    "train": {
        "steps": "20it",
        "batch": 10,
        "evaluate": "10it",
        "optimizer": {"name": "adam", "lr": 0.01},
    },
    "prune": {"rounds": 1, "rate": 0.5},
    "replicates": 1,
    "engine": "dense",
}


def write_own_things(folder, **parts):
    """The files in a folder, and ``mine.yaml`` with these parts in place of the recipe's."""
    for name, text in (
        ("net.py", NET),
        ("conv.py", CONV),
        ("data.py", DATA),
        ("tokens.py", TOKENS),
    ):
        (folder / name).write_text(text)
    (folder / "mine.yaml").write_text(yaml.safe_dump({**RECIPE, **parts}))
