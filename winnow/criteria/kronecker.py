"""Kronecker factors of the Fisher matrix: F ≈ G ⊗ A for the weights of one layer.

Martens & Grosse 2015 ("K-FAC", section 3) for Linear layers, Grosse & Martens 2016 ("KFC", section
3) for convolutions. With a the inputs of a unit (a patch of the image; with a 1 appended for a bias
that is trained), δ the gradients of an example's loss by the outputs, at T positions t:

    A = E[Σₜ aₜaₜᵀ]    (groups, n, n), n = inputs of a unit, + 1 with a bias
    G = E[Σₜ δₜδₜᵀ]/T  (groups, m, m), m = outputs of a group

Uses of one weight by several layers or calls count as further positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow.criteria.base import Subject
from winnow.criteria.gradient import differentiate_only, slopes_by
from winnow.errors import UserError, unknown
from winnow.layers import is_transposed_linear
from winnow.moments.examples import size
from winnow.moments.mixing import check_apart

FISHERS = ("empirical", "model")
PATCHES = 1 << 24  # numbers in the patches of a convolution that are held at a time

_Layer = nn.Linear | nn.Conv1d | nn.Conv2d  # or a transposed Linear of transformers


@dataclass
class Factors:
    """A and G of one weight, as sums until ``kronecker_factors`` divides them."""

    groups: int
    bias: nn.Parameter | None  # that trains together with the weight
    a: Tensor | None = None  # (groups, n, n)
    g: Tensor | None = None  # (groups, m, m)
    positions: int = 0  # over all examples
    transposed: bool = False  # whether the weight is (inputs, outputs)
    uses: int = 0  # calls of the layers that hold it

    def add(self, layer: _Layer, x: Tensor, delta: Tensor) -> None:
        """One call of a layer: its input, and the gradient of the SUM of losses by its output."""
        rows = _rows(delta, layer)
        self.g = _plus(self.g, rows @ rows.mT)
        self.positions += rows.shape[2]
        for patches in _patches(x, layer):
            if self.bias is not None:
                ones = patches.new_ones(1, 1, patches.shape[2]).expand(len(patches), -1, -1)
                patches = torch.cat([patches, ones], 1)
            self.a = _plus(self.a, patches @ patches.mT)


def kronecker_factors(subject: Subject, fisher: str = "empirical") -> dict[str, Factors]:
    """The factors of every scored weight, over all examples of the data; the loss is their mean.

    ``fisher``: "empirical" takes the targets of the data; "model" draws them from the softmax of
    the logits (B, classes), with the subject's generator, which is the true Fisher matrix.
    UserError where outputs of an example depend on the others of its batch (by batch norm in
    training mode), for weights that belong to no Linear, Conv1d or Conv2d layer, and for layers
    whose weight is used by another module than themselves, as ``out_proj`` by attention.
    """
    if fisher not in FISHERS:
        raise unknown("fisher", fisher, FISHERS, f"It is one of {', '.join(FISHERS)}")
    layers = _layers(subject)
    factors = {
        name: Factors(_groups(own[0]), _bias(own), transposed=is_transposed_linear(own[0]))
        for name, own in layers.items()
    }
    differentiate_only(subject.model, subject.weights.values())
    network, examples = subject.network(), 0
    with _listening(layers, factors) as scale:
        for x, y in subject.batches():
            count = scale[0] = size(x)
            if examples == 0:
                check_apart(subject.model, network, x, [])
            outputs = network(x)
            loss = subject.loss(outputs, y if fisher == "empirical" else _drawn(outputs, subject))
            slopes = slopes_by(loss, list(subject.weights.values()))
            _check_seen(subject.criterion, factors, dict(zip(factors, slopes, strict=True)))
            examples += count
    if examples == 0:
        raise UserError(f"criterion {subject.criterion!r} got no batch: the loader is empty")
    for found in factors.values():
        found.a = None if found.a is None else found.a / examples
        found.g = None if found.g is None else found.g / found.positions
    return factors


@contextmanager
def _listening(
    layers: Mapping[str, list[_Layer]], factors: Mapping[str, Factors]
) -> Iterator[list[int]]:
    """Collects from every call of the layers while it is open; yields [examples in the batch]."""
    scale = [1]

    def listen(layer: _Layer, into: Factors) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
            x = inputs[0].detach()
            into.uses += 1
            if output.requires_grad:
                output.register_hook(lambda delta: into.add(layer, x, delta.detach() * scale[0]))

        return layer.register_forward_hook(hook)

    handles = [listen(layer, factors[name]) for name, own in layers.items() for layer in own]
    try:
        yield scale
    finally:
        for handle in handles:
            handle.remove()


def _layers(subject: Subject) -> dict[str, list[_Layer]]:
    """The layers that hold each scored weight: several when it is tied."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d)
    modules: list[Any] = [
        m for m in subject.model.modules() if isinstance(m, kinds) or is_transposed_linear(m)
    ]
    found = {n: [m for m in modules if m.weight is w] for n, w in subject.weights.items()}
    if without := [name for name, own in found.items() if not own]:
        raise _cannot_score(subject.criterion, without, "no such layers' weights")
    return found


def _check_seen(
    criterion: str, factors: Mapping[str, Factors], slopes: Mapping[str, Tensor | None]
) -> None:
    """UserError for weights that the loss depends on, though no layer of theirs was called."""
    unseen = [n for n, slope in slopes.items() if slope is not None and not factors[n].uses]
    if unseen:
        raise _cannot_score(criterion, unseen, "used by another module, as in attention")


def _cannot_score(criterion: str, names: list[str], what: str) -> UserError:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return UserError(
        f"criterion {criterion!r} scores weights of Linear, Conv1d and Conv2d layers by what goes "
        f"in and out of these. {', '.join(map(repr, names[:3]))}{more}: {what}. Choose others with "
        "params=, or another criterion, e.g. 'obd'"
    )


def _groups(layer: _Layer) -> int:
    return layer.groups if isinstance(layer, nn.Conv1d | nn.Conv2d) else 1


def _bias(layers: list[_Layer]) -> nn.Parameter | None:
    bias = layers[0].bias
    trains = len(layers) == 1 and isinstance(bias, nn.Parameter) and bias.requires_grad
    return bias if trains else None  # type: ignore[return-value]


def _drawn(outputs: Any, subject: Subject) -> Tensor:
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        kind = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise UserError(f"fisher='model' draws classes from logits (B, classes), got {kind}")
    source = subject.random()
    shares = outputs.detach().float().softmax(1).to(source.device)
    return torch.multinomial(shares, 1, generator=source).flatten().to(outputs.device)


def _plus(total: Tensor | None, term: Tensor) -> Tensor:
    return term if total is None else total.add_(term)


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _rows(delta: Tensor, layer: _Layer) -> Tensor:
    """Gradients by the outputs as (groups, m, examples and positions)."""
    if not isinstance(layer, nn.Conv1d | nn.Conv2d):
        return _wide(delta).reshape(-1, delta.shape[-1]).T[None]
    return _by_group(_wide(delta).flatten(2), layer.groups)


def _patches(x: Tensor, layer: _Layer) -> Iterator[Tensor]:
    """Inputs of the units as (groups, n, examples and positions), some examples at a time."""
    if not isinstance(layer, nn.Conv1d | nn.Conv2d):
        yield _wide(x).reshape(-1, x.shape[-1]).T[None]
        return
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x = F.pad(_wide(x), layer._reversed_padding_repeated_twice, mode=mode)
    kernel, dilation, stride = layer.kernel_size, layer.dilation, layer.stride
    if x.dim() == 3:
        x, kernel, dilation, stride = x[:, :, None], (1, *kernel), (1, *dilation), (1, *stride)
    at_a_time = max(1, PATCHES // (x[0].numel() * layer.weight[0, 0].numel()))
    for part in torch.split(x, at_a_time):
        yield _by_group(F.unfold(part, kernel, dilation, 0, stride), layer.groups)


def _by_group(rows: Tensor, groups: int) -> Tensor:
    """(B, groups · n, T) as (groups, n, B · T)."""
    examples, units, positions = rows.shape
    split = rows.reshape(examples, groups, units // groups, positions)
    return split.permute(1, 2, 0, 3).flatten(2)
