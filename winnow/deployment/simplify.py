"""The same network with fewer operations: what evaluation does not need, constants, batch norms."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from winnow.deployment.network import Network

aten: Any = torch.ops.aten

_CHECKS = {"_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range",
           "sym_constrain_range_for_size"}  # fmt: skip
_SAME = {aten.clone.default, aten.dropout.default, aten.lift_fresh_copy.default,
         aten.alias.default, aten.detach.default}  # fmt: skip
_BATCH_NORM = aten._native_batch_norm_legit_no_training.default
CONVOLUTION_CALLS = (aten.conv1d.default, aten.conv2d.default, aten.conv3d.default)


def simplified(network: Network) -> Network:
    """An equal network, to the rounding of float32.

    Copies and checks of metadata are gone; views are reshapes, which need no layout; a batch norm
    is one ``aten.batch_norm``, or part of the convolution or linear layer before it where nothing
    else uses that (in float64, rounded once); a product with a constant matrix (``addmm``,
    ``matmul``, ``mm``) is a linear layer; what depends on constants alone is a constant.
    """
    graph, constants = _copied(network), dict(network.constants)
    for node in list(graph.nodes):
        _plainer(graph, node)
    _evaluate(graph, constants)
    for node in list(graph.nodes):
        if node.op == "call_function" and node.target is aten.addmm.default:
            _linear(graph, node, constants)
        elif node.target in (aten.matmul.default, aten.mm.default):
            _product(graph, node, constants)
    norms = [node for node in graph.nodes if node.target is aten.batch_norm.default]
    shapes = replace(network, graph=graph, constants=constants).shapes() if norms else {}
    for node in norms:
        if _is_over_units(node, shapes):
            _fold(graph, node, constants)
    return cleaned(replace(network, graph=graph, constants=constants))


def cleaned(network: Network) -> Network:
    """Without operations and constants that nothing uses."""
    network.graph.eliminate_dead_code()
    for node in list(network.graph.nodes):
        if node.op == "get_attr" and not node.users:
            network.graph.erase_node(node)
    network.graph.lint()
    used = {str(n.target) for n in network.graph.nodes if n.op == "get_attr"}
    return replace(
        network, constants={name: v for name, v in network.constants.items() if name in used}
    )


def constant(network_constants: dict[str, Tensor], node: Any) -> Tensor | None:
    """The value of a ``get_attr`` node; None for everything else."""
    known = isinstance(node, fx.Node) and node.op == "get_attr"
    return network_constants[str(node.target)] if known else None


def new_constant(
    graph: fx.Graph, constants: dict[str, Tensor], before: fx.Node, name: str, value: Tensor
) -> fx.Node:
    """A node with a new constant, under this name or the first free one like it."""
    free = name
    while free in constants:
        free = f"{free}_"
    constants[free] = value
    with graph.inserting_before(before):
        return graph.get_attr(free)


def arguments(node: fx.Node) -> dict[str, Any]:
    """The arguments of a call of an ATen function by name, in order, with its schema's defaults."""
    function: Any = node.target
    known = function._schema.arguments
    given = {a.name: a.default_value if a.has_default_value() else None for a in known}
    given |= {a.name: value for a, value in zip(known, node.args, strict=False)}
    return given | dict(node.kwargs)


def set_arguments(node: fx.Node, given: dict[str, Any]) -> None:
    """Call the function of a node with these arguments instead; all of `arguments`, by name."""
    function: Any = node.target
    only = {a.name for a in function._schema.arguments if a.kwarg_only}
    node.args = tuple(value for name, value in given.items() if name not in only)
    node.kwargs = {name: value for name, value in given.items() if name in only}


def _copied(network: Network) -> fx.Graph:
    graph = fx.Graph()
    values: dict[fx.Node, fx.Node] = {}
    result = graph.graph_copy(network.graph, values)
    graph.output(result)
    return graph


def _plainer(graph: fx.Graph, node: fx.Node) -> None:
    if node.op != "call_function":
        return
    name = getattr(node.target, "_opname", "")
    if name in _CHECKS:
        graph.erase_node(node)
    elif node.target in _SAME and isinstance(node.args[0], fx.Node):
        node.replace_all_uses_with(node.args[0])
        graph.erase_node(node)
    elif node.target in (aten.view.default, aten._unsafe_view.default):
        node.target = aten.reshape.default
    elif node.target is _BATCH_NORM and all(_is_first(user) for user in node.users):
        _one_batch_norm(graph, node)


def _is_first(user: fx.Node) -> bool:
    return user.target is operator.getitem and bool(user.args[1] == 0)


def _one_batch_norm(graph: fx.Graph, node: fx.Node) -> None:
    x, weight, bias, mean, variance, momentum, eps = node.args
    with graph.inserting_before(node):
        one = graph.call_function(
            aten.batch_norm.default,
            (x, weight, bias, mean, variance, False, momentum, eps, False),
        )
    for user in list(node.users):
        user.replace_all_uses_with(one)
        graph.erase_node(user)
    graph.erase_node(node)


def _evaluate(graph: fx.Graph, constants: dict[str, Tensor]) -> None:
    """Calls whose arguments are all constants become constants."""
    known: dict[fx.Node, Any] = {}
    for node in list(graph.nodes):
        if node.op == "get_attr":
            known[node] = constants[str(node.target)]
        elif node.op == "call_function" and node.all_input_nodes:
            if not all(given in known for given in node.all_input_nodes):
                continue
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
            known[node] = node.target(*args, **kwargs)
            if isinstance(known[node], Tensor) and _used_later(node, known):
                value = known[node].detach().clone()
                made = new_constant(graph, constants, node, _name_of(node), value)
                node.replace_all_uses_with(made)
                known[made] = value


def _used_later(node: fx.Node, known: dict[fx.Node, Any]) -> bool:
    """Whether something needs a constant that cannot be evaluated itself."""
    return any(
        user.op == "output" or not all(given in known for given in user.all_input_nodes)
        for user in node.users
    )


def _name_of(node: fx.Node) -> str:
    """After the first constant that it is made of."""
    first = node.all_input_nodes[0]
    return f"{first.target if first.op == 'get_attr' else first.name}_{node.name}"


def _linear(graph: fx.Graph, node: fx.Node, constants: dict[str, Tensor]) -> None:
    """bias + x·W, W constant: a linear layer with Wᵀ."""
    given = arguments(node)
    matrix = constant(constants, given["mat2"])
    bias = constant(constants, given["self"])
    if (
        matrix is None
        or bias is None
        or bias.dim() != 1
        or (given["beta"], given["alpha"]) != (1, 1)
    ):
        return
    name = str(given["mat2"].target)
    turned = new_constant(graph, constants, node, f"{name}_t", matrix.t().contiguous())
    with graph.inserting_before(node):
        made = graph.call_function(aten.linear.default, (given["mat1"], turned, given["self"]))
    node.replace_all_uses_with(made)
    graph.erase_node(node)


def _product(graph: fx.Graph, node: fx.Node, constants: dict[str, Tensor]) -> None:
    """x·W, W constant: a linear layer with Wᵀ."""
    x, by = node.args
    matrix = constant(constants, by)
    if matrix is None or matrix.dim() != 2:
        return
    name = str(by.target)  # type: ignore[union-attr]
    turned = new_constant(graph, constants, node, f"{name}_t", matrix.t().contiguous())
    with graph.inserting_before(node):
        made = graph.call_function(aten.linear.default, (x, turned))
    node.replace_all_uses_with(made)
    graph.erase_node(node)


def _is_over_units(norm: fx.Node, shapes: dict[str, Any]) -> bool:
    """Whether a batch norm, which is over axis 1, is over the units that the layer before writes.

    Those of a linear layer on (B, T, F) stand along the last axis.
    """
    layer: Any = norm.args[0]
    if layer.target is aten.linear.default:
        return bool(shapes[layer.name].dim() == 2)
    weight: Any = arguments(layer)["weight"] if layer.target in CONVOLUTION_CALLS else None
    return weight is not None and bool(shapes[layer.name].dim() == shapes[weight.name].dim())


def _fold(graph: fx.Graph, norm: fx.Node, constants: dict[str, Tensor]) -> None:
    """Multiply the batch norm after a layer into its weights."""
    layer = norm.args[0]
    if not isinstance(layer, fx.Node):
        return
    layer_given, given = arguments(layer), arguments(norm)
    weight, bias = (constant(constants, layer_given[k]) for k in ("weight", "bias"))
    mean, variance = (constant(constants, given[k]) for k in ("running_mean", "running_var"))
    if weight is None or mean is None or variance is None or len(layer.users) > 1:
        return
    if given["training"] or (bias is None and layer_given["bias"] is not None):
        return
    gamma, beta = (constant(constants, given[k]) for k in ("weight", "bias"))
    scale = (variance.double() + given["eps"]).rsqrt()
    scale = scale if gamma is None else scale * gamma.double()
    shift = -mean.double() if bias is None else bias.double() - mean.double()
    shift = shift * scale if beta is None else shift * scale + beta.double()
    name = str(layer_given["weight"].target)
    for old in (layer_given["weight"], layer_given["bias"]):
        if old is not None and len(old.users) == 1:
            del constants[str(old.target)]  # the new one takes its name
    scaled = (weight.double() * scale.view(-1, *[1] * (weight.dim() - 1))).to(weight.dtype)
    layer_given["weight"] = new_constant(graph, constants, layer, name, scaled)
    own = f"{name.removesuffix('weight')}bias" if bias is None else str(layer_given["bias"].target)
    layer_given["bias"] = new_constant(graph, constants, layer, own, shift.to(weight.dtype))
    set_arguments(layer, layer_given)
    norm.replace_all_uses_with(layer)
    graph.erase_node(norm)
