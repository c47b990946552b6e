"""Moments of per-example gradients: the mean of |∂ℓᵢ/∂w| or (∂ℓᵢ/∂w)² over examples i.

Their cost is about one forward and backward pass over the data, whatever their number, and their
memory that of a training step: for weights and biases of Linear, Conv1d and Conv2d layers a formula
gives the sum over a batch from the layer's input and the gradient by its output. What no formula
covers (other layers, weights used twice, layers that mix examples) is computed by the definition,
example by example.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from winnow.errors import UserError, unknown
from winnow.moments.alone import Alone
from winnow.moments.examples import examples_of, size
from winnow.moments.formulas import Formulas
from winnow.moments.graph import no_gradient
from winnow.moments.kinds import KINDS, Loss, MomentKind, wide
from winnow.moments.mixing import repeatable
from winnow.moments.taps import uses
from winnow.selection import parameters, uncompiled

__all__ = ["KINDS", "Kind", "moments"]


def moments(
    model: nn.Module,
    batches: Iterable[tuple[Any, Any]],
    loss_fn: Loss,
    names: Iterable[str],
    kind: MomentKind = "abs",
) -> dict[str, Tensor]:
    """The mean over all examples of |g| (``abs``) or g² (``square``), name -> like the parameter.

    g is the gradient of loss_fn(model(x), y) for one example alone, x and y its rows of a batch.
    ``loss_fn`` gives the mean over a batch, or one loss for each example. ``names``: parameters as
    ``named_parameters`` calls them. Half-precision models get float32 moments.

    Batch norm with running statistics uses them, also in training mode: there an example has no
    gradient of its own, as every loss depends on the whole batch. All else runs in the model's own
    mode; dropout draws from torch's global state. Parameters, gradients, buffers and modes are as
    before afterwards.

    Raises UserError for unknown names and kinds, no examples, a loss that is neither or depends on
    none of the parameters, and a model whose outputs for one example depend on the others of its
    batch (but by batch norm without running statistics, for which the definition is each alone).
    """
    model = uncompiled(model)
    named = _named(model, names)
    first = {id(weight): name for name, weight in reversed(named.items())}
    weights = {name: named[name] for name in first.values()}  # tied ones once
    if kind not in KINDS:
        raise unknown("kind of moment", kind, KINDS, f"Kinds are {', '.join(KINDS)}")
    sums = {name: torch.zeros_like(w, dtype=wide(w)) for name, w in weights.items()}
    count = 0
    with _held(model, weights), torch.enable_grad():
        formulas = Formulas(model, weights, loss_fn, kind)
        alone = Alone(model, loss_fn)
        for x, y in batches:
            found = formulas.moments(x, y)
            if count == 0:
                _check_depends(model, loss_fn, weights, x, y)
            count += size(x)
            left = {name: w for name, w in weights.items() if name not in found}
            if left:
                found |= alone.moments(left, x, y, kind)
            for name, moment in found.items():
                sums[name] += moment
    if count == 0:
        raise UserError("there are no examples to take moments over: the data has no batch")
    return {name: sums[first[id(weight)]] / count for name, weight in named.items()}


def _check_depends(
    model: nn.Module, loss_fn: Loss, weights: Mapping[str, nn.Parameter], x: Any, y: Any
) -> None:
    """UserError where the loss of the first examples depends on none of the weights."""
    some = slice(2)
    with repeatable(model):
        loss = loss_fn(model(examples_of(x, some)), examples_of(y, some)).sum()
    used = uses(loss) if loss.requires_grad else {}
    if not any(id(weight) in used for weight in weights.values()):
        raise no_gradient()


def _named(model: nn.Module, names: Iterable[str]) -> dict[str, nn.Parameter]:
    known = parameters(model)
    chosen = list(names)
    for name in chosen:
        if name not in known:
            raise unknown("parameter", name, known, "See model.named_parameters()")
    return {name: known[name] for name in chosen}


@contextlib.contextmanager
def _held(model: nn.Module, weights: Mapping[str, nn.Parameter]) -> Iterator[None]:
    """Weights with gradients and batch norm with its statistics; on exit, all is as before."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    modes = [(m, m.training) for m in norms if m.training and m.running_mean is not None]
    flags = [(w, w.requires_grad) for w in weights.values()]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    try:
        for module, _ in modes:
            module.training = False
        for weight, _ in flags:
            weight.requires_grad_()
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for weight, flag in flags:
            weight.requires_grad_(flag)
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
