"""Operations with a value for each channel: batch norms that stand alone, and PReLU."""

from __future__ import annotations

from functools import partial

import torch
from torch import fx

from winnow.deployment.shrink.edit import Edit
from winnow.deployment.shrink.ranges import Range, added, multiplied
from winnow.deployment.shrink.steps import Scene, Step, passed
from winnow.deployment.simplify import arguments, set_arguments


def of_batch_norm(scene: Scene, node: fx.Node) -> Step | None:
    """A batch norm in evaluation that stands alone."""
    call = arguments(node)
    names = ("weight", "bias", "running_mean", "running_var")
    source, values = call["input"], {name: scene.value(call[name]) for name in names}
    before = scene.step(source)
    lacking = any(value is None and call[name] is not None for name, value in values.items())
    mean, variance = values["running_mean"], values["running_var"]
    if before is None or before.axis != 1 or lacking or call["training"]:
        return None
    if mean is None or variance is None:
        return None
    scale = (variance.double() + call["eps"]).rsqrt()
    scale = scale if values["weight"] is None else scale * values["weight"].double()
    shift = -mean.double() * scale
    shift = shift if values["bias"] is None else shift + values["bias"].double()
    made = added(multiplied(before.range, Range(scale, scale)), Range(shift, shift))
    return passed(scene, source, 1, made, partial(_cut_vectors, node, names))


def of_prelu(scene: Scene, node: fx.Node) -> Step | None:
    """A slope for each channel, or one for all."""
    source, slope = node.args[0], scene.value(node.args[1])
    before = scene.step(source)
    if before is None or slope is None or before.axis != 1 or not isinstance(source, fx.Node):
        return None
    value = slope.double()
    given = before.range.pointwise(lambda x: torch.where(x < 0, x * value, x))
    return passed(scene, source, 1, given, partial(_cut_vectors, node, ("weight",)))


def _cut_vectors(node: fx.Node, names: tuple[str, ...], edit: Edit) -> None:
    """Fewer of the values that stand for one channel each."""
    if not edit.goes(node):
        return
    call, keep = arguments(node), edit.keep[node]
    for name in names:
        if call[name] is not None and len(value := edit.constants[str(call[name].target)]) > 1:
            call[name] = edit.constant(node, call[name], "", value[keep])
    set_arguments(node, call)
