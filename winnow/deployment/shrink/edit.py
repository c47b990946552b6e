"""Changes to a graph and its constants while channels are taken out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx

from winnow.deployment.simplify import new_constant


@dataclass(frozen=True, eq=False)
class Edit:
    """``keep``, ``needed``: bits (C,) for every node whose channels are followed: which stay, and
    of which the values decide something.
    """

    graph: fx.Graph
    constants: dict[str, Tensor]
    keep: Mapping[fx.Node, Tensor]
    needed: Mapping[fx.Node, Tensor]
    done: list[str] = field(default_factory=list)

    def count(self, node: fx.Node) -> int:
        """How many channels of a node stay."""
        return int(self.keep[node].sum())

    def goes(self, node: fx.Node) -> bool:
        """Whether some channel of a node goes."""
        return not bool(self.keep[node].all())

    def constant(self, user: fx.Node, old: fx.Node | None, name: str, value: Tensor) -> fx.Node:
        """A new constant for one user. It takes the name of the one in whose place it stands, if
        nothing else uses that.
        """
        self.done.append(user.name)
        if old is not None:
            name = str(old.target)
            if times_used(self.graph)[name] == 1:
                del self.constants[name]
        return new_constant(self.graph, self.constants, user, name, value.contiguous())

    def erase(self, node: fx.Node) -> None:
        """Take out a node that nothing uses any more."""
        self.done.append(node.name)
        self.graph.erase_node(node)


def times_used(graph: fx.Graph) -> Counter[str]:
    """How often each constant stands among the arguments of operations, by its name."""
    given = (one for node in graph.nodes for one in given_nodes((node.args, node.kwargs)))
    return Counter(str(one.target) for one in given if one.op == "get_attr")


def given_nodes(arguments: Any) -> list[fx.Node]:
    """The nodes among some arguments, each as often as it stands there."""
    found: list[fx.Node] = []

    def note(node: fx.Node) -> fx.Node:
        found.append(node)
        return node

    fx.node.map_arg(arguments, note)
    return found
