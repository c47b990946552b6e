"""Equal scores: how many there are where a mask begins to remove, and what that means."""

from __future__ import annotations

from collections.abc import Mapping

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
    kept = {name: _alive(scores[name], after[name]) for name in names}
    gone = {name: _gone(scores[name], before, after, name) for name in names}
    groups = [names] if together else [[name] for name in names]
    equal = stay = 0
    value = 0.0
    for group in groups:
        if edge := _edge([kept[name] for name in group], [gone[name] for name in group]):
            value, on_it, removed = edge
            equal, stay = equal + on_it + removed, stay + on_it
    whole = sum(len(kept[name]) + len(gone[name]) for name in names)
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


def _alive(scores: Tensor, keep: Tensor) -> Tensor:
    return scores[keep.to(scores.device)]


def _gone(scores: Tensor, before: Mapping[str, Tensor] | None, after: Mask, name: str) -> Tensor:
    removed = ~after[name].to(scores.device)
    if before is not None and name in before:
        removed &= before[name].to(scores.device)
    return scores[removed]


def _edge(kept: list[Tensor], gone: list[Tensor]) -> tuple[float, int, int] | None:
    """The score on the edge, how many of it stay and how many go; None where no tie is cut."""
    lowest = min((float(part.min()) for part in kept if part.numel()), default=None)
    highest = max((float(part.max()) for part in gone if part.numel()), default=None)
    if lowest is None or lowest != highest:
        return None
    on_it = sum(int((part == lowest).sum()) for part in kept)
    removed = sum(int((part == lowest).sum()) for part in gone)
    return lowest, on_it, removed
