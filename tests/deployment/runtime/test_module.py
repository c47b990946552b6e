"""`SparseModule` against the models that it is made of."""

from __future__ import annotations

import pytest
from runtime.networks import (
    OWN,
    check_equal,
    given_to,
    own_network,
    sparse_module,
)

COUNTS = (0, 1, 2, 3, 4, 5, 15, 16, 17, 40, 64, 65, 130)

PAPERS = [
    ("lenet-300-100", (1, 28, 28), {}),
    ("conv-2", (3, 16, 16), {"width": 0.25}),
    ("conv-4", (3, 16, 16), {"width": 0.125}),
    ("conv-6", (3, 16, 16), {"width": 0.125}),
    ("vgg-11", (3, 32, 32), {"width": 0.125}),
    ("vgg-19", (3, 32, 32), {"width": 0.125}),
    ("resnet-20", (3, 16, 16), {"width": 0.5, "shortcut": "projection"}),
    ("resnet-32", (3, 13, 13), {"width": 0.25, "shortcut": "padding"}),
]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("run", ["kernels", "torch"])
def test_own_networks(name, run):
    model, shapes = own_network(name)
    module = sparse_module(model, shapes, run)
    for count in COUNTS:
        given = given_to(shapes, count)
        found = module(*given)
        if count or name != "tokens":  # attention of nothing: whatever torch does
            check_equal(found, model(*given))
