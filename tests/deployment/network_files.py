"""Files of small networks, and such files changed by hand."""

from __future__ import annotations

import functools
import json

import torch
from runtime.networks import ready
from torch import nn

from winnow.deployment.capture import capture
from winnow.deployment.runtime.plan import SparseNetwork
from winnow.deployment.runtime.sparse import sparse_network
from winnow.deployment.saved import pack_network
from winnow.deployment.simplify import simplified
from winnow.mask import from_bytes, to_bytes

KIND = "deployed network"


@functools.cache
def small(int8: bool = False) -> SparseNetwork:
    """Two layers, one of them sparse."""
    torch.manual_seed(0)
    model = ready(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    return sparse_network(simplified(capture(model, torch.ones(2, 4))), int8=int8)


def changed(edit, tensors_edit=None) -> bytes:
    """A file whose digest fits what was done to it."""
    tensors, described = from_bytes(KIND, pack_network(small(), {}), "here")
    described = json.loads(json.dumps(described))
    for key in ("kind", "format", "digest"):
        described.pop(key)
    tensors = dict(tensors)
    edit(described)
    if tensors_edit is not None:
        tensors_edit(tensors)
    return to_bytes(KIND, tensors, described)


def node(name, op, target, args=(), **kwargs):
    """An entry of a graph."""
    return {"name": name, "op": op, "target": target, "args": list(args), "kwargs": kwargs}


def put(*path):
    """An edit: the last of ``path`` in the place that the others lead to."""

    def edit(described):
        for key in path[:-2]:
            described = described[key]
        described[path[-2]] = path[-1]

    return edit
