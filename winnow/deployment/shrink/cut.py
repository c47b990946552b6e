"""An equal network without the channels that decide nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from winnow.deployment.network import Network
from winnow.deployment.shrink.absorb import absorbed
from winnow.deployment.shrink.edit import Edit, times_used
from winnow.deployment.shrink.marks import ChannelBits, deciding, staying
from winnow.deployment.shrink.rules import step_of
from winnow.deployment.shrink.steps import Scene
from winnow.deployment.simplify import cleaned, simplified

_SIZES = ((5, 7), (11, 13), (16, 32), (48, 80), (2, 3))
"""Free sizes to look at a graph with: of the batch, and of others."""


def shrunk(network: Network) -> Network:
    """An equal network, to the rounding of its constants, with smaller layers.

    Given as `winnow.deployment.simplify.simplified` returns it. A channel (or neuron) goes where
    nothing but zeros reads it, or where it has one value whatever the input is, which the next
    layers' biases take over (in float64, rounded once). A layer that pads with zeros cannot take a
    value over, as it differs at the border: all channels that are constant there become one.
    Channels of a sum go where they go on all sides, those of a group with their group. Inputs and
    outputs keep their shapes, and so does all that goes through an operation that is not followed,
    or through a weight that is used twice. A tensor keeps at least one channel.
    """
    while True:
        network, changed = _once(network)
        if not changed:
            return network


def _once(network: Network) -> tuple[Network, bool]:
    network = simplified(network)
    shapes = _two_shapes(network)
    if shapes is None:
        return network, False
    scene = Scene(dict(network.constants), times_used(network.graph), shapes)
    with torch.no_grad():
        for node in network.graph.nodes:
            if (step := step_of(scene, node)) is not None:
                scene.steps[node] = step
        decide = deciding(network.graph, scene)
        stay = staying(network.graph, scene, decide)
        _check(scene, stay)
        edit = Edit(network.graph, dict(network.constants), stay, decide)
        for step in scene.steps.values():
            if step.rewrite is not None:
                step.rewrite(edit)
        absorbed(edit, scene)
    return cleaned(replace(network, constants=edit.constants)), bool(edit.done)


def _two_shapes(network: Network) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The shapes of all nodes for two choices of what is free, to tell sizes that follow the input
    from sizes that do not; None where the graph takes no two of them.
    """
    found: list[dict[str, Any]] = []
    for batch, others in _SIZES:
        try:
            found.append(network.shapes(batch, others))
        except Exception:
            continue
        if len(found) == 2:
            return found[0], found[1]
    return None


def _check(scene: Scene, stay: ChannelBits) -> None:
    for node, step in scene.steps.items():
        for link in step.links:
            if bool((stay[node][link.out] != stay[link.source][link.into]).any()):
                raise AssertionError(f"{node.name}: channels that belong together do not stay so")
