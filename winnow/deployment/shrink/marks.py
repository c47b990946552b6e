"""Which channels decide something, and which have to stay."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, fx

from winnow.deployment.shrink.steps import ChannelReading, Scene, Step

ChannelBits = dict[fx.Node, Tensor]
_LEAST = 1e-3


def deciding(graph: fx.Graph, scene: Scene) -> ChannelBits:
    """Of every node that is followed: the channels (C,) whose values decide an output.

    Not those that only weights of zero read, nor those that go into what is constant whatever they
    are: any value of their range can stand there instead.
    """
    bits = {node: torch.zeros(len(s.range), dtype=torch.bool) for node, s in scene.steps.items()}
    for node in reversed(graph.nodes):
        step = scene.steps.get(node)
        for source in _followed(scene, node):
            if step is None or source in _whole(node, step):
                bits[source][:] = True
        if step is None:
            continue
        some = bits[node] & ~step.range.constant
        if step.reading is not None:
            bits[step.reading.source] |= step.reading.read(some)
            continue
        for link in step.links:
            bits[link.source][link.into[some[link.out]]] = True
    return bits


def staying(graph: fx.Graph, scene: Scene, decide: ChannelBits) -> ChannelBits:
    """Of every node that is followed: the channels (C,) that have to stay."""
    stay = {node: torch.zeros(len(s.range), dtype=torch.bool) for node, s in scene.steps.items()}
    mergers: list[tuple[ChannelReading, Tensor]] = []
    for node in graph.nodes:
        step = scene.steps.get(node)
        for source in _followed(scene, node):
            if step is None or source in _whole(node, step):
                stay[source][:] = True
        if step is None:
            continue
        if step.fixed is not None:
            stay[node] |= step.fixed
        if step.reading is not None and not step.links:
            read = step.reading.read(decide[node] & ~step.range.constant)
            free, alike = step.reading.exempt()
            stay[step.reading.source] |= read & ~free & ~alike
            mergers.append((step.reading, read & ~free & alike))
    _propagate(scene.steps, stay)
    for reading, alike in mergers:
        if bool(alike.any()):
            _keep_one(scene, reading, alike, stay)
    for bits in stay.values():
        if not bool(bits.any()):  # a tensor without channels is none that every operation takes
            bits[0] = True
            _propagate(scene.steps, stay)
    return stay


def _followed(scene: Scene, node: fx.Node) -> list[fx.Node]:
    return [source for source in node.all_input_nodes if source in scene.steps]


def _whole(node: fx.Node, step: Step) -> list[fx.Node]:
    """The inputs of which nothing may go."""
    known = {link.source for link in step.links}
    if step.reading is not None:
        known.add(step.reading.source)
    return [source for source in node.all_input_nodes if source not in known]


def _keep_one(scene: Scene, reading: ChannelReading, alike: Tensor, stay: ChannelBits) -> None:
    """One of the constant channels that a layer reads as one has to stay: the largest, or one that
    stays anyway and is not much smaller, as the weights are divided by it.
    """
    bits, given = stay[reading.source], scene.steps[reading.source].range
    size = given.low.abs().masked_fill(~given.constant, 0)
    largest = torch.where(alike, size, 0.0).max()
    if not bool((bits & (size >= _LEAST * largest)).any()):
        bits[int(torch.where(alike, size, -1.0).argmax())] = True
        _propagate(scene.steps, stay)


def _propagate(steps: Mapping[fx.Node, Step], stay: ChannelBits) -> None:
    """What is linked stays together."""
    links = [(node, link) for node, step in steps.items() for link in step.links]
    changed = True
    while changed:
        changed = False
        for node, link in (*links, *reversed(links)):
            out, into = stay[node][link.out], stay[link.source][link.into]
            if bool((out != into).any()):
                stay[node][link.out[into]] = True
                stay[link.source][link.into[out]] = True
                changed = True
