"""Which nodes run together, on graphs made by hand and drawn."""

from __future__ import annotations

import operator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.networks import given_to
from torch import fx

from winnow.deployment.network import Input, Network
from winnow.deployment.runtime.module import SparseModule
from winnow.deployment.runtime.parts import kernel_parts
from winnow.deployment.runtime.plan import plan
from winnow.deployment.runtime.sparse import sparse_network
from winnow.deployment.runtime.steps import ProductStep

aten = torch.ops.aten
SIZE = 5


class Graph:
    """A network on features of one size; ``tanh`` and ``mul`` are torch's."""

    def __init__(self, inputs: int = 1) -> None:
        self.graph, self.constants, self.inputs = fx.Graph(), {}, []
        self.values = []
        for i in range(inputs):
            self.values.append(self.graph.placeholder(f"x{i}"))
            self.inputs.append(Input(f"x{i}", (None, SIZE), torch.float32, (2, SIZE)))
        self.generator = torch.Generator().manual_seed(0)

    def call(self, function, *args):
        self.values.append(self.graph.call_function(function, args))
        return self.values[-1]

    def layer(self, x, name=None):
        name = name or f"weight{len(self.constants)}"
        if name not in self.constants:
            weight = torch.randn(SIZE, SIZE, generator=self.generator) / 2
            self.constants[name] = weight * (torch.rand(SIZE, SIZE, generator=self.generator) < 0.6)
        return self.call(aten.linear.default, x, self.graph.get_attr(name))

    def sparse(self, *outputs):
        self.graph.output(outputs)
        structure = {"tuple": list(range(len(outputs)))}
        network = Network(self.graph, self.constants, tuple(self.inputs), structure)
        return sparse_network(network)


KINDS = ("layer", "shared", "relu", "add", "cat", "tanh", "mul")


@st.composite
def graphs(draw):
    """Any nodes of any values before them."""
    made = Graph(draw(st.integers(1, 2)))
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=14)):
        x, y = draw(st.sampled_from(made.values)), draw(st.sampled_from(made.values))
        if kind in ("layer", "shared"):
            made.layer(x, "shared" if kind == "shared" else None)
        elif kind == "relu":
            made.call(aten.relu.default, x)
        elif kind == "tanh":
            made.call(aten.tanh.default, x)
        elif kind == "add":
            made.call(aten.add.Tensor, x, y)
        elif kind == "mul":
            made.call(aten.mul.Tensor, x, y)
        else:
            both = made.call(aten.cat.default, [x, y], 1)
            made.values[-1:] = [made.graph.call_function(
                aten.linear.default, (both, made.graph.get_attr("narrow"))
            )]  # fmt: skip
            made.constants["narrow"] = torch.eye(SIZE).repeat(1, 2)
    outputs = draw(st.lists(st.sampled_from(made.values), min_size=1, max_size=3, unique=True))
    in_torch = draw(
        st.sets(st.sampled_from([n for n in made.values if n.op == "call_function"]), max_size=3)
    )
    sparse = made.sparse(*outputs)
    made.graph.eliminate_dead_code()
    return sparse, [n for n in in_torch if n in set(made.graph.nodes)]


@given(graphs(), st.sampled_from([1, 2, 16, 33]))
@settings(max_examples=25)
def test_any_graph(drawn, count):
    sparse, in_torch = drawn
    graph, batch = sparse.network.graph, 1 if count == 1 else 16
    made = plan(sparse, sparse.known(batch), in_torch)
    held = [node for part in made.parts for node in part.nodes]
    assert len(held) == len(set(held))
    assert not set(held) & set(in_torch)
    order = {node: i for i, node in enumerate(graph.nodes)}
    for part in made.parts:
        inside = set(part.nodes)
        assert sorted(part.nodes, key=order.__getitem__) == list(part.nodes)
        assert any(isinstance(step, ProductStep) for step in part.steps.steps)
        needed = {n for node in inside for n in node.all_input_nodes if n.op != "get_attr"} - inside
        assert set(part.inputs) == needed
        assert set(part.outputs) == {n for n in inside if set(n.users) - inside}
        for step, node in part.layers.items():
            assert step.weights.name == str(node.args[1].target)
        after = set()  # what needs the part, outside it: nothing of it may be needed by the part
        for node in graph.nodes:
            if node not in inside and any(n in after or n in inside for n in node.all_input_nodes):
                after.add(node)
        assert not after & set(part.inputs)
    given = given_to([(SIZE,)] * len(sparse.network.inputs), count)
    whole = Network(
        graph, {**sparse.network.constants, **{n: sparse.value(n) for n in sparse.nonzeros}},
        sparse.network.inputs, sparse.network.outputs,
    ).runnable()  # fmt: skip
    for mine, theirs in zip(made.module(*given), whole(*given), strict=True):
        scale = max(1.0, float(theirs.abs().max()))
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5 * scale)


def parts(sparse, in_torch=()):
    found = kernel_parts(sparse.network.graph, sparse.known(1), in_torch)
    return [[node.name.replace("_default", "") for node in part.nodes] for part in found]


def test_one_part_between_what_torch_runs():
    made = Graph()
    a = made.layer(made.values[0])
    b = made.call(aten.tanh.default, a)
    c = made.layer(made.call(aten.relu.default, made.layer(a)))
    d = made.call(aten.add.Tensor, made.layer(b), c)
    found = parts(made.sparse(d))
    # what reads only ``a`` is in its part; what reads tanh is in the next
    assert found == [["linear", "linear_1", "relu", "linear_2"], ["linear_3", "add_tensor"]]


def test_a_part_needs_a_layer():
    made = Graph()
    a = made.call(aten.relu.default, made.call(aten.tanh.default, made.values[0]))
    assert parts(made.sparse(made.call(aten.add.Tensor, a, a))) == []


def test_without_some_layers():
    made = Graph()
    a = made.layer(made.values[0])
    b = made.layer(a)
    c = made.layer(b)
    sparse = made.sparse(c)
    assert parts(sparse) == [["linear", "linear_1", "linear_2"]]
    assert parts(sparse, [b]) == [["linear"], ["linear_2"]]
    assert parts(sparse, [a, b, c]) == []


def test_names_of_parts_are_free():
    """Constants and inputs that are called as parts would be."""
    made = Graph()
    a = made.call(aten.tanh.default, made.layer(made.values[0], "part_0.weight"))
    made.constants |= {"part_0.scale": torch.full((SIZE,), 2.0), "part__1": torch.ones(SIZE)}
    b = made.call(aten.mul.Tensor, a, made.graph.get_attr("part_0.scale"))
    c = made.call(aten.sub.Tensor, b, made.graph.get_attr("part__1"))
    sparse = made.sparse(made.layer(c), c)
    module = SparseModule(sparse, run="kernels")
    assert len(module._plans[1].parts) == 2
    (x,) = given_to([(SIZE,)], 3)
    wanted = 2 * (x @ sparse.value("part_0.weight").T).tanh() - 1
    torch.testing.assert_close(module(x)[1], wanted)


def test_layers_that_nothing_needs():
    made = Graph()
    x = made.values[0]
    made.layer(x)
    sparse = made.sparse(made.call(aten.tanh.default, x))
    assert parts(sparse) == []
    torch.testing.assert_close(
        plan(sparse, sparse.known(1)).module(torch.ones(2, SIZE))[0], torch.ones(2, SIZE).tanh()
    )


@pytest.mark.parametrize("function", [operator.add, torch.add])
def test_functions_that_are_none_of_atens(function):
    made = Graph()
    y = made.call(function, made.layer(made.values[0]), made.values[0])
    assert parts(made.sparse(y)) == [["linear"]]
