"""A file of a sparse network: bit by bit what was saved, or refused with its name."""

from __future__ import annotations

import contextlib
import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from network_files import changed, put, small
from runtime.networks import given_to, own_network
from torch import fx

from winnow.deployment.capture import capture
from winnow.deployment.graphjson import to_json
from winnow.deployment.network import Input, Network
from winnow.deployment.runtime.plan import SparseNetwork
from winnow.deployment.runtime.sparse import sparse_network
from winnow.deployment.runtime.steps import SparseWeights
from winnow.deployment.saved import pack_network, unpack_network
from winnow.deployment.simplify import simplified
from winnow.errors import UserError


def check_same(a: SparseNetwork, b: SparseNetwork) -> None:
    """Equal in every bit, and of the same types."""
    assert to_json(a.network.graph) == to_json(b.network.graph)
    assert (a.network.inputs, a.network.outputs) == (b.network.inputs, b.network.outputs)
    assert a.network.constants.keys() == b.network.constants.keys()
    for name, value in a.network.constants.items():
        other = b.network.constants[name]
        assert (value.dtype, value.shape) == (other.dtype, other.shape)
        assert value.numpy().tobytes() == other.numpy().tobytes()
    assert list(a.nonzeros) == list(b.nonzeros)
    for name, one in a.nonzeros.items():
        other = b.nonzeros[name]
        assert (one.name, one.shape, one.rank) == (other.name, other.shape, other.rank)
        for mine, theirs in (
            (one.index, other.index), (one.values, other.values), (one.scale, other.scale)
        ):  # fmt: skip
            assert (mine is None) == (theirs is None)
            if mine is not None and theirs is not None:
                assert mine.dtype == theirs.dtype
                assert mine.tobytes() == theirs.tobytes()


sides = st.integers(1, 4)


@given(
    st.tuples(sides, sides, sides, sides),
    st.sampled_from([2, 4]),
    st.booleans(),
    st.integers(0, 10**6),
    st.floats(0, 1),
    st.sampled_from([torch.float32, torch.float16, torch.int64, torch.bool, torch.bfloat16]),
)
def test_networks_come_back_bit_by_bit(shape, rank, int8, seed, density, kind):
    """Weights may be any float32: NaN of every kind, -0, what is no number of a normal size."""
    shape = shape if rank == 4 else (*shape[:2], 1, 1)
    size = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    keep, raw = rng.random(size) < density, rng.integers(2**32, size=size, dtype=np.uint32)
    values = raw.astype(np.int8) if int8 else raw.view(np.float32)
    scale = rng.integers(2**32, size=shape[0], dtype=np.uint32).view(np.float32) if int8 else None
    weights = SparseWeights("layer.weight", shape, np.flatnonzero(keep), values[keep], scale, rank)
    graph = fx.Graph()
    x, y, z = graph.placeholder("x"), graph.get_attr("layer.weight"), graph.get_attr("table")
    graph.output((x, y, z))
    table = torch.arange(6).reshape(2, 3).to(kind)
    inputs = (Input("x", (None, 3), kind, (2, 3)),)
    outputs = {"dict": {"a": 0, "b": {"tuple": [1, None, {"list": [2]}]}}}
    sparse = SparseNetwork(
        Network(graph, {"table": table}, inputs, outputs), {weights.name: weights}
    )
    if kind is torch.bfloat16:
        sparse.network.constants["table"] = table.float()  # numpy has none to compare
    data = pack_network(sparse, {"title": "ä", "numbers": [1, 2.5, None]})
    assert data == pack_network(sparse, {"title": "ä", "numbers": [1, 2.5, None]})
    saved = unpack_network(data, "here")
    check_same(sparse, saved.sparse)
    assert saved.about == {"title": "ä", "numbers": [1, 2.5, None]}
    assert pack_network(saved.sparse, saved.about) == data


@pytest.mark.parametrize(("name", "int8"), [("squeeze", False), ("several", True)])
def test_captured_networks(name, int8):
    model, shapes = own_network(name)
    network = simplified(capture(model, given_to(shapes, 3)))
    sparse = sparse_network(network, int8=int8)
    saved = unpack_network(pack_network(sparse, {}), "here")
    check_same(sparse, saved.sparse)


@pytest.mark.parametrize("int8", [False, True])
def test_every_damaged_byte_is_found(int8):
    data = pack_network(small(int8), {"title": "small"})
    read = []
    for i in range(len(data)):
        damaged = bytearray(data)
        damaged[i] ^= 1 << (i % 8)
        with contextlib.suppress(UserError):
            read.append(unpack_network(bytes(damaged), "this/file"))
    assert len(read) < 0.01 * len(data)
    for saved in read:  # a space of JSON's
        check_same(small(int8), saved.sparse)
        assert saved.about == {"title": "small"}
    with pytest.raises(UserError, match="this/file"):
        unpack_network(data[:-1] + bytes([data[-1] ^ 1]), "this/file")


def test_every_missing_end_is_found():
    data = pack_network(small(), {})
    for end in range(0, len(data), 7):
        with pytest.raises(UserError, match="this/file"):
            unpack_network(data[:end], "this/file")


@pytest.mark.parametrize(
    "edit",
    [
        put("layers", 0, "shape", [3, 4, 1]),
        put("layers", 0, "shape", [3, 4, 1, 2]),
        put("layers", 0, "shape", [3, -4, 1, -1]),
        put("layers", 0, "shape", [3, 4.0, 1, 1]),
        put("layers", 0, "shape", [True, 12, 1, 1]),
        put("layers", 0, "shape", [2**30, 2**30, 1, 1]),
        put("layers", 0, "shape", None),
        put("layers", 0, "rank", 3),
        put("layers", 0, "dtype", "float64"),
        put("layers", 0, "dtype", "object"),
        put("layers", 0, "dtype", "int8"),
        put("layers", 0, "keep", "pickled"),
        put("layers", 0, "values", "pickled"),
        put("layers", 0, "name", "other"),
        put("layers", 0, None),
        put("layers", []),
        put("layers", None),
        put("inputs", []),
        put("inputs", [["x", [None, 4], "float32", [2, 4]]] * 2),
        put("inputs", 0, 1, [None, 5]),
        put("inputs", 0, 1, [None]),
        put("inputs", 0, 1, [None, "4"]),
        put("inputs", 0, 2, "load"),
        put("inputs", 0, 2, "no such"),
        put("inputs", 0, 3, [2, 0]),
        put("inputs", 0, 3, [2, 2**40]),
        put("inputs", 0, 0, 7),
        put("outputs", 1),
        put("outputs", "0"),
        put("outputs", {"set": [0]}),
        put("outputs", {"dict": [0]}),
        put("outputs", {"tuple": 0}),
        put("outputs", {"tuple": [0], "list": [0]}),
        put("about", []),
        put("graph", []),
        put("graph", -1, "args", []),
        put("graph", -1, "args", [{"node": "x"}]),
        put("graph", -1, "args", [[1]]),
        lambda described: described["graph"].pop(),
        lambda described: described.pop("graph"),
        lambda described: described.pop("about"),
    ],
)
def test_files_that_somebody_else_made(edit):
    with pytest.raises(UserError, match="this/file"):
        unpack_network(changed(edit), "this/file")


def test_constants_that_are_not_there():
    def edit(tensors):
        tensors.pop(next(name for name in tensors if name.startswith("whole/")))

    with pytest.raises(UserError, match="which the file does not hold"):
        unpack_network(changed(lambda _: None, edit), "this/file")
    assert changed(lambda _: None)  # the same without a change is read
    unpack_network(changed(lambda _: None), "this/file")


def test_an_about_that_is_not_json():
    with pytest.raises(UserError, match="plain JSON"):
        pack_network(small(), {"what": object()})
    with pytest.raises(UserError, match="plain JSON"):
        pack_network(small(), {"what": float("nan")})
    check_same(small(), copy.copy(small()))
