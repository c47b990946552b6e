"""SynFlow: score = w·∂R/∂w on the network of absolute values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from winnow.criteria.base import Subject
from winnow.criteria.gradient import differentiate_only, gradients_by
from winnow.criteria.traits import traits
from winnow.errors import UserError

SAFE = 1e30  # float32 scores from 1/SAFE to SAFE have lost nothing to overflow or underflow


@traits(examples="none", rounds=100, takes_input_shape=True)
def synflow(subject: Subject, *, input_shape: Sequence[int] | None = None) -> dict[str, Tensor]:
    """w·∂R/∂w, R = the sum of the outputs of the network of absolute values, fed with ones.

    Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving
    synaptic flow", equation 1 and algorithm 1. Meant for many rounds: ``wn.prune_at_init`` takes
    100 exponential ones by default. Needs neither loss nor data; the shape of one example is
    ``input_shape``, e.g. (3, 32, 32), or that of the first batch.

    As in the authors' code, the absolute value is taken of every parameter and buffer, running
    means included, and batch normalisation and dropout are in eval mode whatever the model's mode.
    Unlike in their code (it was commented out there), everything is computed again in float64
    when a score of a weight other than 0 leaves [1e-30, 1e30]: R grows and falls exponentially
    with the depth. Such scores are float64.

    Activation checkpoints, reentrant or not, change nothing. UserError without a shape, for outputs
    that are no tensor or have no gradient, and when R is not finite even so.
    """
    subject.model.eval()
    shape = _shape(subject, input_shape)
    single = reduce(torch.promote_types, (w.dtype for w in subject.weights.values()), torch.float32)
    flow, scores = _flow(subject, shape, single)
    if single != torch.float64 and not _is_safe(flow, scores, subject):
        flow, scores = _flow(subject, shape, torch.float64)
    if not bool(torch.isfinite(flow)):
        raise UserError(
            f"criterion 'synflow': the sum of the outputs is {flow.item()} in double precision. "
            "Check the weights, or scale them down: a factor for each layer changes no ranking."
        )
    return scores


def _flow(
    subject: Subject, shape: Sequence[int], dtype: torch.dtype
) -> tuple[Tensor, dict[str, Tensor]]:
    """R and the scores, computed in ``dtype``."""
    weights = differentiate_only(subject.model, subject.weights.values())
    ones = torch.ones(1, *shape, dtype=dtype, device=weights[0].device, requires_grad=True)
    with _absolute(subject.model, dtype):  # during backward too, in which checkpoints compute anew
        outputs = subject.outputs(ones.clone())
        flow = _sum(outputs)
        slopes = gradients_by(flow, weights)
        products = [w.detach() * slope for w, slope in zip(weights, slopes, strict=True)]
    named = zip(subject.weights, products, strict=True)
    return flow.detach(), {name: product.abs_() for name, product in named}


def _sum(outputs: Any) -> Tensor:
    outputs = getattr(outputs, "logits", outputs)
    if not isinstance(outputs, Tensor):
        raise UserError(
            "criterion 'synflow' sums the outputs, which must be one tensor; this model returns "
            f"a {type(outputs).__name__}. Wrap it in a module that returns its logits."
        )
    return outputs.sum()


@contextmanager
def _absolute(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """The model with the absolute values of its parameters and buffers, in this type."""
    tensors = list(dict.fromkeys([*model.parameters(), *model.buffers()]))
    before = [(tensor, tensor.data) for tensor in tensors if tensor.is_floating_point()]
    try:
        for tensor, value in before:
            tensor.data = value.abs().to(dtype)
        yield
    finally:
        for tensor, value in before:
            tensor.data = value


def _is_safe(flow: Tensor, scores: dict[str, Tensor], subject: Subject) -> bool:
    if not bool(torch.isfinite(flow)):
        return False
    for name, score in scores.items():
        removed = score.numel() - int(subject.weights[name].count_nonzero())
        inside = int(((score >= 1 / SAFE) & (score <= SAFE)).count_nonzero())
        if inside < score.numel() - removed:
            return False
    return True


def _shape(subject: Subject, given: Sequence[int] | None) -> Sequence[int]:
    if given is not None:
        return given
    if subject.data is None:
        raise UserError(
            "criterion 'synflow' needs the shape of one example: pass input_shape=(3, 32, 32) or "
            "the like, batch=(x, y) or loader="
        )
    inputs, _ = next(subject.batches())
    if isinstance(inputs, Tensor) and inputs.is_floating_point():
        return inputs.shape[1:]
    kind = inputs.dtype if isinstance(inputs, Tensor) else f"a {type(inputs).__name__}"
    raise UserError(
        f"criterion 'synflow' feeds the network with ones, and its inputs are {kind}: they must be "
        "numbers that layers multiply. Feed a network of tokens behind its embedding: "
        "forward=lambda model, ones: model(inputs_embeds=ones), input_shape=(tokens, width)"
    )
