"""A sparse network as one safetensors file: its graph, its constants and its nonzeros; no code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from winnow.deployment import graphjson
from winnow.deployment.network import Input, Network
from winnow.deployment.outputs import restored
from winnow.deployment.runtime.plan import SparseNetwork
from winnow.deployment.runtime.steps import SparseWeights
from winnow.errors import UserError
from winnow.mask import from_bytes, to_bytes
from winnow.packing.bound import check_described
from winnow.packing.keeps import pack_keep, unpack_keep
from winnow.packing.values import as_bytes, as_tensor, pack_values, unpack_values

_KIND = "deployed network"
_WRONG = (
    KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RuntimeError,
    RecursionError, MemoryError,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """What a file holds: a network, and what else is known of it (JSON)."""

    sparse: SparseNetwork
    about: Mapping[str, Any]


def pack_network(sparse: SparseNetwork, about: Mapping[str, Any]) -> bytes:
    """The bytes of a file, with a digest over all of them. Equal networks give equal bytes.

    UserError for an operation that no file may hold, and for an ``about`` that is not JSON.
    """
    network = sparse.network
    used = {str(n.target) for n in network.graph.nodes if n.op == "get_attr"}
    tensors = {f"whole/{n}": v for n, v in network.constants.items() if n in used}
    layers = []
    for name, weights in sparse.nonzeros.items():
        keep = np.zeros(math.prod(weights.shape), np.bool_)
        keep[weights.index] = True
        how, kept = pack_keep(torch.from_numpy(keep))
        coding, values = pack_values([torch.from_numpy(weights.values)])
        tensors |= {f"keep/{name}": as_tensor(kept), f"values/{name}": as_tensor(values)}
        if weights.scale is not None:
            tensors[f"scale/{name}"] = torch.from_numpy(weights.scale)
        layers.append(
            {
                "name": name,
                "shape": list(weights.shape),
                "rank": weights.rank,
                "keep": how,
                "values": coding,
                "dtype": str(weights.values.dtype),
            }
        )
    described = {
        "graph": graphjson.to_json(network.graph),
        "inputs": [
            [
                one.name,
                list(one.shape),
                str(one.dtype).removeprefix("torch."),
                list(one.sized()),
            ]
            for one in network.inputs
        ],
        "outputs": network.outputs,
        "layers": layers,
        "about": dict(about),
    }
    try:
        return to_bytes(_KIND, tensors, described)
    except (TypeError, ValueError) as error:
        raise UserError(f"what is said about a network must be plain JSON: {error}") from error


def unpack_network(data: bytes, where: str) -> SavedNetwork:
    """What `pack_network` wrote. UserError, with ``where`` and the reason, for anything else."""
    try:
        tensors, described = from_bytes(_KIND, data, where)
    except ValueError as error:
        raise UserError(str(error)) from error
    try:
        return _unpacked(tensors, described)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except _WRONG as error:
        raise UserError(f"{where} is damaged: {error}") from error


def _unpacked(tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> SavedNetwork:
    graph = graphjson.from_json(described["graph"])
    check_described(sum(math.prod(one["shape"]) for one in described["layers"]), tensors)
    nonzeros = {one["name"]: _weights(one, tensors) for one in described["layers"]}
    constants = {
        name.removeprefix("whole/"): value
        for name, value in tensors.items()
        if name.startswith("whole/")
    }
    inputs = tuple(_input(one) for one in described["inputs"])
    _check(graph, {*constants, *nonzeros}, inputs)
    returned = list(graph.nodes)[-1].args[0]
    restored(described["outputs"], list(returned))  # or it raises what is wrong
    if not isinstance(described["about"], dict):
        raise UserError("what it says about its network is no mapping")
    network = Network(graph, constants, inputs, described["outputs"])
    return SavedNetwork(SparseNetwork(network, nonzeros), described["about"])


def _weights(one: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> SparseWeights:
    name, shape, rank = one["name"], tuple(one["shape"]), one["rank"]
    plain = all(type(n) is int and n > 0 for n in shape) and math.prod(shape) < 2**31
    if (
        len(shape) != 4
        or not plain
        or rank not in (2, 4)
        or one["dtype"] not in ("float32", "int8")
    ):
        raise UserError(f"its layer {name!r} has the shape {list(shape)} of rank {rank!r}")
    keep = unpack_keep(one["keep"], as_bytes(tensors[f"keep/{name}"]), [math.prod(shape)])
    index = np.flatnonzero(keep.numpy())
    values = unpack_values(
        one["values"], as_bytes(tensors[f"values/{name}"]), one["dtype"], len(index)
    )
    scale = None
    if one["dtype"] == "int8":
        found = tensors[f"scale/{name}"]
        if found.shape != (shape[0],) or found.dtype != torch.float32:
            raise UserError(f"the scales of its layer {name!r} are {list(found.shape)}")
        scale = found.numpy()
    return SparseWeights(name, shape, index, values.numpy(), scale, rank)


def _input(one: Sequence[Any]) -> Input:
    name, shape, dtype, sizes = one
    found = getattr(torch, dtype)
    pairs = zip(shape, sizes, strict=True)
    runs_in_kernels = all(type(b) is int and 0 < b < 2**31 and a in (None, b) for a, b in pairs)
    if not isinstance(found, torch.dtype) or not isinstance(name, str) or not runs_in_kernels:
        raise UserError(f"its input {name!r} is {shape!r} of {dtype!r}")
    return Input(name, tuple(shape), found, tuple(sizes))


def _check(graph: Any, constants: set[str], inputs: Sequence[Input]) -> None:
    nodes = list(graph.nodes)
    placed = [str(n.target) for n in nodes if n.op == "placeholder"]
    if len(placed) != len(inputs) or not nodes or nodes[-1].op != "output":
        raise UserError(f"its graph has {len(placed)} inputs for {len(inputs)}, or no output")
    (returned,) = nodes[-1].args
    if not all(isinstance(one, fx.Node) for one in returned):
        raise UserError(f"its graph returns {returned!r}, not tensors")
    missing = [
        str(n.target) for n in nodes if n.op == "get_attr" and str(n.target) not in constants
    ]
    if missing:
        raise UserError(f"its graph needs {missing[0]!r}, which the file does not hold")
