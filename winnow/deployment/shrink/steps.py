"""What the analysis knows of one operation: where its channels come from and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, fx

from winnow.deployment.shrink.edit import Edit
from winnow.deployment.shrink.ranges import Range


@dataclass(frozen=True, eq=False)
class Link:
    """Channels that stay or go together: ``out[k]`` of a node and ``into[k]`` of ``source``."""

    source: fx.Node
    out: Tensor
    into: Tensor


class ChannelReading(Protocol):
    """How a layer with weights reads the channels (I,) of its input."""

    @property
    def source(self) -> fx.Node:
        """The input."""

    def read(self, rows: Tensor) -> Tensor:
        """ChannelBits (I,): the channels that some weight of these rows (O,) reads."""

    def exempt(self) -> tuple[Tensor, Tensor]:
        """ChannelBits (I,): channels that the bias can take over, and those that can become one."""


@dataclass(frozen=True, eq=False)
class Step:
    """A node whose channels along ``axis`` are followed.

    ``range``: theirs. ``links``: to channels of its inputs. ``fixed``: channels (C,) that have to
    stay. ``reading``: of a layer. ``rewrite``: its arguments once channels are gone. Inputs that
    neither a link nor a reading names keep all of their channels.
    """

    axis: int
    range: Range
    links: tuple[Link, ...] = ()
    fixed: Tensor | None = None
    reading: ChannelReading | None = None
    rewrite: Callable[[Edit], None] | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """What rules see: constants and how often each is used, the shapes of every node for two
    choices of the free sizes, and the steps before.
    """

    constants: Mapping[str, Tensor]
    uses: Mapping[str, int]
    shapes: tuple[Mapping[str, Any], Mapping[str, Any]]
    steps: dict[fx.Node, Step] = field(default_factory=dict)

    def shape(self, node: Any, which: int = 0) -> tuple[int, ...]:
        """Of the tensor that a node gives; () for a number and for what is no node."""
        value = self.shapes[which].get(node.name) if isinstance(node, fx.Node) else None
        return tuple(int(size) for size in value.shape) if isinstance(value, Tensor) else ()

    def step(self, node: Any) -> Step | None:
        """What is known of a node."""
        return self.steps.get(node) if isinstance(node, fx.Node) else None

    def value(self, node: Any) -> Tensor | None:
        """The tensor of a ``get_attr`` node; None for everything else."""
        known = isinstance(node, fx.Node) and node.op == "get_attr"
        return self.constants[str(node.target)] if known else None


def same_channels(source: fx.Node, count: int) -> Link:
    """Channel for channel."""
    return Link(source, torch.arange(count), torch.arange(count))


def passed(
    scene: Scene,
    source: fx.Node,
    axis: int | None = None,
    given: Range | None = None,
    rewrite: Callable[[Edit], None] | None = None,
) -> Step:
    """A step that keeps the channels of one input apart and in order."""
    before = scene.steps[source]
    return Step(
        before.axis if axis is None else axis,
        given or before.range,
        (same_channels(source, len(before.range)),),
        rewrite=rewrite,
    )
