"""Networks of one's own: what builders may be, what is drawn, and what cannot be trained."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
import torch

from winnow.errors import UserError
from winnow.models.own import drawn_from, own_network, rehearse, without_values

INPUTS, CLASSES = (3, 4, 4), 5
TEXT = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs, classes, width=8):
        super().__init__()
        c, h, w = inputs
        self.hidden = nn.Linear(c * h * w, width)
        self.out = nn.Linear(width, classes)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x.flatten(1))))

def small(inputs, classes):
    return Net(inputs, classes, 2)

def fixed():
    return Net((3, 4, 4), 5, 3)

def anything(**options):
    return Net(**options)

def positional(inputs, /, classes):
    return Net(inputs, classes)

def needy(inputs, classes, depth):
    return Net(inputs, classes)

def broken(inputs, classes):
    return Net(inputs, classes, -1)

def nothing(inputs, classes):
    Net(inputs, classes)

class Weighted(Net):
    def __init__(self, inputs, classes):
        super().__init__(inputs, classes)
        if float(self.out.weight.sum()) == 123:  # no number on the meta device
            raise ValueError

class Two(Net):
    def forward(self, x):
        return super().forward(x), x

class Features(Net):
    def forward(self, x):
        return self.hidden(x.flatten(1))

class Unused(Net):
    def __init__(self, inputs, classes):
        super().__init__(inputs, classes)
        self.more = nn.Linear(2, 2)

class Frozen(Net):
    def __init__(self, inputs, classes):
        super().__init__(inputs, classes)
        self.hidden.weight.requires_grad_(False)

class Double(Net):
    def __init__(self, inputs, classes):
        super().__init__(inputs, classes)
        self.double()

class Lazy(Net):
    def __init__(self, inputs, classes):
        super().__init__(inputs, classes)
        self.hidden = nn.LazyLinear(8)

class Detached(Net):
    def forward(self, x):
        return super().forward(x).detach()

class Fails(Net):
    def forward(self, x):
        return self.out(x)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    (tmp_path / "net.py").write_text(TEXT)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("winnow_outside"):
            del sys.modules[name]


def built(name, **options):
    return own_network(f"net.py:{name}", INPUTS, CLASSES, options)


@pytest.mark.parametrize(
    ("name", "options", "width"),
    [
        ("Net", {}, 8),
        ("Net", {"width": 4}, 4),
        ("small", {}, 2),
        ("fixed", {}, 3),
        ("anything", {"width": 6}, 6),
    ],
)
def test_a_builder_takes_what_it_names(name, options, width):
    model = built(name, **options)
    assert model.hidden.weight.shape == (width, 48)
    rehearse("net.py", model, torch.rand(4, *INPUTS), CLASSES)


@pytest.mark.parametrize("name", ["Net", "Weighted"])
def test_layers_without_values(name):
    model = without_values(lambda: built(name))
    shapes = {n: (tuple(p.shape), p.device.type) for n, p in model.named_parameters()}
    assert shapes["hidden.weight"] == ((8, 48), "meta")
    assert len(shapes) == 4


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("positional", {}, "its parameter inputs takes no name"),
        ("needy", {}, "needs depth: write model.options"),
        ("Net", {"widht": 3}, "Did you mean 'width'"),
        ("Net", {"classes": 3}, "classes follows from the data"),
        ("broken", {}, r"building the network failed with RuntimeError: .*net.py, line|torch"),
        ("nothing", {}, "returned None: return the network, an nn.Module"),
    ],
)
def test_a_builder_that_does_not_fit_is_told_so(name, options, told):
    with pytest.raises(UserError, match=told):
        built(name, **options)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Two", r"returns a tuple: return logits, a tensor \(B, 5\)"),
        ("Features", r"returns a tensor \(4, 8\) for 4 images: return logits \(4, 5\)"),
        ("Unused", r"more.weight, more.bias takes no part in the logits"),
        ("Frozen", r"hidden.weight is frozen"),
        ("Double", r"hidden.weight is torch.float64"),
        ("Lazy", r"hidden.weight is lazy"),
        ("Detached", r"its gradient failed"),
        ("Fails", r"its forward pass on images \(4, 3, 4, 4\) failed with RuntimeError"),
    ],
)
def test_a_network_that_cannot_be_trained_is_told_so(name, told):
    model = built(name)
    with pytest.raises(UserError, match=told):
        rehearse("net.py", model, torch.rand(4, *INPUTS), CLASSES)


def test_the_stream_decides_what_is_drawn_and_nothing_global_moves():
    def draws():
        return torch.rand(3).tolist(), random.random(), float(np.random.rand())

    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = draws(), draws()
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    before = draws()
    with drawn_from(5, "a"):
        first = draws()
    with drawn_from(5, "b"):
        other = draws()
    with drawn_from(5, "a"):
        assert draws() == first
    assert (before, draws()) == expected
    assert all(a != b for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("threads", [1, 2])
def test_weights_do_not_depend_on_the_threads(threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with drawn_from(3, "init", 0):
            weight = built("Net", width=4000).hidden.weight
            torch.nn.init.orthogonal_(weight)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    torch.manual_seed(9)
    with drawn_from(3, "init", 0):
        again = built("Net", width=4000).hidden.weight
        torch.nn.init.orthogonal_(again)
    assert torch.equal(weight, again)
