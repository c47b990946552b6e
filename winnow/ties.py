"""Equal scores: how many there are where a mask begins to remove, and what that means."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from winnow.mask import Mask

_SHARE = 0.01  # of the weights that compete, from which ties are told


class TiedScores(UserWarning):
    """Many scores are equal where the mask begins to remove: their index decided, no criterion."""


def tied(
    scores: Mapping[str, Tensor], before: Mapping[str, Tensor] | None, after: Mask, together: bool
) -> str | None:
    """The words of a warning, where at least 1 % of the scores tie on the edge of the mask.

    ``together``: whether all tensors were in one competition, else each was in its own. Weights
    that ``before`` has removed do not compete.
    """
    names = [name for name in after if name in scores]
    groups = [names] if together else [[name] for name in names]
    equal = stay = 0
    value = 0.0
    for group in groups:
        if edge := _edge(scores, before, after, group):
            value, on_it, removed = edge
            equal, stay = equal + on_it + removed, stay + on_it
    whole = sum(int(_competing(before, after, name).count_nonzero()) for name in names)
    if equal < max(2, _SHARE * whole):
        return None
    return (
        f"{equal:,} of {whole:,} scores are equal{f' ({value:g})' if together else ''}, and "
        f"{stay:,} of these weights stay: by their index alone, as the criterion does not tell "
        f"them apart.{_ABOUT_ZERO if value == 0 else ''}"
    )


_ABOUT_ZERO = (
    " A score of 0 means that the criterion saw no effect: of weights behind inputs that are "
    "always 0, of units that never fire, or of layers before a batch norm whose weight starts at 0 "
    "(the last one of residual blocks). Set such norms to 1 while scoring, take more data, another "
    "criterion, or a density that removes no more than these."
)


def _competing(before: Mapping[str, Tensor] | None, after: Mask, name: str) -> Tensor:
    """What was there before: all of it without an earlier mask."""
    if before is None or name not in before:
        return torch.ones_like(after[name])
    return before[name].to(after[name].device)


def _edge(
    scores: Mapping[str, Tensor], before: Mapping[str, Tensor] | None, after: Mask, group: list[str]
) -> tuple[float, int, int] | None:
    """The score on the edge, how many of it stay and how many go; None where no tie is cut.

    A tensor at a time, so that no copy of all scores is held.
    """
    lowest, highest = math.inf, -math.inf
    for name in group:
        kept, gone = _sides(scores, before, after, name)
        lowest = min(lowest, float(kept.min())) if kept.numel() else lowest
        highest = max(highest, float(gone.max())) if gone.numel() else highest
    if lowest != highest:
        return None
    counts = [
        [int((side == lowest).sum()) for side in _sides(scores, before, after, name)]
        for name in group
    ]
    return lowest, sum(kept for kept, _ in counts), sum(gone for _, gone in counts)


def _sides(
    scores: Mapping[str, Tensor], before: Mapping[str, Tensor] | None, after: Mask, name: str
) -> tuple[Tensor, Tensor]:
    """The scores of what stays and of what goes."""
    here, tensor = after[name].to(scores[name].device), scores[name]
    goes = _competing(before, after, name).to(here.device) & ~here
    return tensor[here], tensor[goes]
