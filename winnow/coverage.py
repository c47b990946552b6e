"""Coverage: which share of a model's weights competes, what is left out, and why."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import is_lazy

from winnow.layers import axes_of, is_embedding
from winnow.selection import Params, parameters, prunable, uncompiled

LOW = 0.5  # a smaller share of the weights is told
_SHOWN = 5


@dataclass(frozen=True)
class LeftOut:
    """A weight that does not compete: its name, how many numbers it has, and why."""

    name: str
    size: int
    why: str


@dataclass(frozen=True)
class Coverage:
    """``competing`` of ``weights`` numbers compete; ``left_out``: the other weights, largest first.

    Weights are the parameters with two or more dimensions, tied ones once, as ``density_total``
    counts them: no biases and no norms.
    """

    competing: int
    weights: int
    left_out: tuple[LeftOut, ...]

    @property
    def share(self) -> float:
        """The share of the model's weights that competes; 1 for a model without weights."""
        return self.competing / self.weights if self.weights else 1.0

    def __str__(self) -> str:
        first = (
            f"{self.competing:,} of the model's {self.weights:,} weights compete "
            f"({100 * self.share:.3g} %)"
        )
        return "\n".join([first, *(f"  left out: {_told(one)}" for one in self.left_out)])


class LowCoverage(UserWarning):
    """Less than half of a model's weights compete, and nobody chose which."""


def coverage(model: nn.Module, params: Params | None = None) -> Coverage:
    """What would compete under these ``params`` (as in ``wn.score``), and what is left out.

    Raises UserError as ``selection.prunable`` does.
    """
    return coverage_of(model, prunable(model, params))


def coverage_of(model: nn.Module, names: Iterable[str]) -> Coverage:
    """The coverage where these parameters compete, by any of their names."""
    named = parameters(model)
    chosen = {id(named[name]) for name in names}
    first = {id(parameter): name for name, parameter in reversed(named.items())}
    reasons = _reasons(uncompiled(model))
    weights = [
        (name, parameter)
        for name, parameter in named.items()
        if first[id(parameter)] == name
        and not is_lazy(parameter)
        and (parameter.dim() >= 2 or id(parameter) in chosen)
    ]
    left = [
        LeftOut(name, parameter.numel(), reasons.get(id(parameter), "chosen so"))
        for name, parameter in weights
        if id(parameter) not in chosen
    ]
    return Coverage(
        sum(parameter.numel() for _, parameter in weights if id(parameter) in chosen),
        sum(parameter.numel() for _, parameter in weights),
        tuple(sorted(left, key=lambda one: -one.size)),
    )


def warn_if_low(found: Coverage, params: object, stacklevel: int) -> None:
    """LowCoverage where under half of the weights compete, unless ``params`` chose them."""
    if params is not None or found.share >= LOW:
        return
    names = "; ".join(_told(one) for one in found.left_out[:_SHOWN])
    more = len(found.left_out) - _SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    warnings.warn(
        f"only {100 * found.share:.3g} % of the model's {found.weights:,} weights compete. Left "
        f"out: {names}{rest}. Name what competes with params= to say that this is meant.",
        LowCoverage,
        stacklevel=stacklevel + 1,
    )


def _reasons(model: nn.Module) -> dict[int, str]:
    """By the id of each parameter that does not compete by itself: why."""
    layers = axes_of(model)
    found: dict[int, str] = {}
    for layer in model.modules():
        for parameter in layer.parameters(recurse=False):
            key = id(parameter)
            if is_embedding(layer):
                tied = " and its tied output layer" if key in layers else ""
                found[key] = f"embedding{tied}"
            elif key not in layers:
                found.setdefault(key, f"parameter of {type(layer).__name__}, a layer of its own")
    return found


def _told(one: LeftOut) -> str:
    return f"{one.name} ({one.size:,}, {one.why})"
