"""Graphs as JSON: what comes back is what was written, and nothing else comes back at all."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import fx

from winnow.deployment.graphjson import allowed, from_json, to_json
from winnow.errors import UserError

aten = torch.ops.aten


def node(name, op, target, args=(), **kwargs):
    return {"name": name, "op": op, "target": target, "args": list(args), "kwargs": kwargs}


def of(one):
    return {"node": one}


def graph_with(*nodes, returned="y"):
    return [
        node("x", "placeholder", "x"),
        *nodes,
        node("output", "output", "output", [[of(returned)]]),
    ]


PLAIN = graph_with(node("y", "call_function", "aten.relu.default", [of("x")]))

simple = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from([torch.float32, torch.int64, torch.strided, torch.contiguous_format]),
    st.just(torch.device("cpu")),
)
values = st.recursive(simple, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


def same(a, b):
    """Equal values of equal kinds; tuples come back as lists."""
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


@given(
    st.lists(values, max_size=3),
    st.dictionaries(st.from_regex("[a-z]{1,5}[0-9]", fullmatch=True), values),
)
def test_arguments_come_back(args, kwargs):
    graph = fx.Graph()
    x = graph.placeholder("x")
    weight = graph.get_attr("layers.0.weight")
    graph.output((graph.call_function(aten.cat.default, (x, [weight], *args), kwargs),))
    plain = to_json(graph)
    again = from_json(json.loads(json.dumps(plain)))
    assert to_json(again) == plain
    for mine, theirs in zip(again.nodes, graph.nodes, strict=True):
        assert (mine.name, mine.op, mine.target) == (theirs.name, theirs.op, theirs.target)
    call = list(again.nodes)[2]
    assert [n.name for n in call.all_input_nodes] == ["x", "layers_0_weight"]
    assert same(args, call.args[2:])
    assert kwargs.keys() == call.kwargs.keys()
    assert all(same(kwargs[key], call.kwargs[key]) for key in kwargs)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_floats_that_json_lacks(value):
    graph = fx.Graph()
    graph.output((graph.call_function(aten.full.default, ([2], value)),))
    text = json.dumps(to_json(graph), allow_nan=False)
    found = next(iter(from_json(json.loads(text)).nodes)).args[1]
    assert math.isnan(found) if math.isnan(value) else found == value


@pytest.mark.parametrize(
    "target",
    [
        "os.system", "builtins.eval", "operator.call", "operator.attrgetter", "torch.load",
        "aten.from_file.default", "aten.relu_.default", "aten.add_.Tensor", "aten.add.out",
        "aten.copy_.default", "aten.set_.source_Tensor", "aten.relu", "aten.relu.nothing",
        "aten.__class__.mro", "aten.relu.default._op", "aten.set_grad_enabled.default",
        "aten.manual_seed.default", "prims.add.default", "quantized.add.default", "", ".", "..",
    ],
)  # fmt: skip
def test_functions_that_no_file_may_call(target):
    with pytest.raises(UserError, match="which no deployed network may"):
        from_json(graph_with(node("y", "call_function", target, [of("x")])))


def test_functions_that_no_file_may_hold():
    for function in (aten.relu_.default, aten.from_file.default, torch.relu, print, len):
        graph = fx.Graph()
        graph.output((graph.call_function(function, (graph.placeholder("x"),)),))
        assert not allowed(function)
        with pytest.raises(UserError, match="cannot hold"):
            to_json(graph)
    graph = fx.Graph()
    graph.output((graph.call_function(aten.relu.default, (graph.placeholder("x"), {"a": 1})),))
    with pytest.raises(UserError, match="an argument"):
        to_json(graph)


CODE = "x=__import__('pathlib').Path('made').touch()"


@pytest.mark.parametrize(
    "nodes",
    [
        [node("x", "placeholder", CODE), node("output", "output", "output", [[of("x")]])],
        [node("x", "placeholder", "lambda"), node("output", "output", "output", [[of("x")]])],
        graph_with(node("y", "call_function", "aten.relu.default", [], **{f"self={CODE} or x": 1})),
        graph_with(node("y", "call_function", "aten.relu.default", [], **{"class": of("x")})),
        graph_with(node("y", "get_attr", f'a.b-", None) or {CODE} #')),
        graph_with(node("y", "get_attr", f"a{CODE}")),
        graph_with(node("y", "get_attr", "a..b")),
        graph_with(node("y", "get_attr", "a\nb")),
        graph_with(node("y", "get_attr", "")),
    ],
)
def test_names_that_would_be_code(nodes, tmp_path, monkeypatch):
    """`torch.fx` writes them into the source that it compiles."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="has the name"):
        fx.GraphModule({}, from_json(nodes))(torch.ones(2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["y = 1; import os; z", "class", "y\nimport os", '"', "é", ""])
def test_names_of_nodes_are_only_names(name):
    graph = from_json(
        graph_with(node(name, "call_function", "aten.relu.default", [of("x")]), returned=name)
    )
    module = fx.GraphModule({}, graph)
    assert "import os" not in module.code
    assert torch.equal(module(torch.tensor([-1.0, 2.0]))[0], torch.tensor([0.0, 2.0]))


def test_text_in_arguments_is_text():
    made = graph_with(
        node("y", "call_function", "aten.einsum.default", ["i->i', [x]) #\n\\", [of("x")]])
    )
    text = next(n for n in from_json(made).nodes if n.op == "call_function").args[0]
    assert text == "i->i', [x]) #\n\\"
    with pytest.raises((RuntimeError, AssertionError)):
        fx.GraphModule({}, from_json(made))(torch.ones(2))


def deep(levels):
    made = [of("x")]
    for _ in range(levels):
        made = [made]
    return made


@pytest.mark.parametrize(
    "nodes",
    [
        None,
        5,
        "nodes",
        {"name": 1},
        [5],
        [[]],
        [{}],
        [{**PLAIN[0], "args": None}],
        [{**PLAIN[0], "kwargs": []}],
        [node("x", "call_module", "x")],
        [node("x", "call_method", "relu")],
        [PLAIN[0], PLAIN[0], *PLAIN[1:]],
        [PLAIN[1], PLAIN[0], PLAIN[2]],
        graph_with(node("y", "call_function", "aten.relu.default", [of("z")])),
        graph_with(node("y", "call_function", "aten.relu.default", [of("y")])),
        graph_with(node("y", "call_function", "aten.relu.default", [of(["x"])])),
        graph_with(node("y", "call_function", "aten.relu.default", [{}])),
        graph_with(node("y", "call_function", "aten.relu.default", [{"node": "x", "float": "1"}])),
        graph_with(node("y", "call_function", "aten.relu.default", [{"code": "x"}])),
        graph_with(node("y", "call_function", "aten.relu.default", [{"dtype": "load"}])),
        graph_with(node("y", "call_function", "aten.relu.default", [{"dtype": "no such"}])),
        graph_with(node("y", "call_function", "aten.relu.default", [{"dtype": 3}])),
        graph_with(node("y", "call_function", "aten.relu.default", [{"layout": "float32"}])),
        graph_with(node("y", "call_function", "aten.relu.default", [{"float": "one"}])),
        graph_with(node("y", "call_function", "aten.relu.default", [deep(5000)])),
    ],
)
def test_what_is_no_graph(nodes):
    with pytest.raises(UserError, match="its graph"):
        from_json(nodes)
