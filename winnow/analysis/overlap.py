"""How much two masks have in common, beside what random masks of the same densities have.

Zhang et al. 2021, "Lottery Jackpots Exist in Pre-trained Models", equation 7, counts positions that
agree, zeros included: two random masks that keep 10 % score 0.82. The paper prints no such level;
here it stands beside the number. The Jaccard index, which the paper has not, looks at kept weights
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from winnow.mask import Mask


@dataclass(frozen=True)
class MaskOverlap:
    """What two masks have in common, as fractions from 0 to 1 and as counts of weights.

    ``agreement``: 1 − ‖m − m'‖₁ / k, the share of the k positions at which both keep or both
    remove. ``jaccard``: kept by both over kept by either, 1 where neither keeps anything.
    ``…_chance``: their expectation if each mask were drawn at random, independently, with as many
    weights in each layer as it has.
    """

    agreement: float
    agreement_chance: float
    jaccard: float
    jaccard_chance: float
    kept_both: int
    kept_first: int
    kept_second: int


@dataclass(frozen=True)
class _Counts:
    """Of one layer: its weights, those that each mask keeps, and those that both keep."""

    size: int
    first: int
    second: int
    both: int


def mask_overlap(first: Mask, second: Mask) -> MaskOverlap:
    """What two masks of one network have in common.

    Chance keeps the count of every layer: with n weights of which the masks keep a and b, random
    masks share a·b/n on average, with the variance of the hypergeometric distribution. The
    expectation of the agreement is exact; that of the Jaccard index, a ratio, is taken to second
    order in how far the shared count strays from its mean: exact as layers grow, and 0.2 % off for
    a single layer of 100 weights that keeps 10.
    ValueError unless names and shapes are the same.
    """
    both = first & second
    kept_first, kept_second, kept_both = (mask.kept_per_layer for mask in (first, second, both))
    counts = [
        _Counts(both[name].numel(), kept_first[name], kept_second[name], kept_both[name])
        for name in first
    ]
    return _overlap(counts)


def layer_overlaps(first: Mask, second: Mask) -> dict[str, MaskOverlap]:
    """Name → `mask_overlap` of that layer alone. ValueError as there."""
    first & second  # names what does not fit in all layers at once
    return {
        name: mask_overlap(Mask({name: first[name]}), Mask({name: second[name]})) for name in first
    }


def _overlap(counts: Sequence[_Counts]) -> MaskOverlap:
    size = sum(layer.size for layer in counts)
    of_both_masks = sum(layer.first + layer.second for layer in counts)
    both = sum(layer.both for layer in counts)
    mean, variance = sum(map(_mean, counts)), sum(map(_variance, counts))

    def agreement(shared: float) -> float:
        return 1 - (of_both_masks - 2 * shared) / size if size else 1.0

    return MaskOverlap(
        agreement(both),
        agreement(mean),
        _jaccard(both, of_both_masks),
        _expected_jaccard(mean, variance, of_both_masks),
        both,
        sum(layer.first for layer in counts),
        sum(layer.second for layer in counts),
    )


def _mean(layer: _Counts) -> float:
    return layer.first * layer.second / layer.size if layer.size else 0.0


def _variance(layer: _Counts) -> float:
    """Of how many weights two random masks of these counts share (hypergeometric)."""
    n = layer.size
    if n < 2:
        return 0.0
    return _mean(layer) * (n - layer.first) / n * (n - layer.second) / (n - 1)


def _jaccard(shared: float, twice: int) -> float:
    return shared / (twice - shared) if twice else 1.0


def _expected_jaccard(mean: float, variance: float, twice: int) -> float:
    """E[S / (t − S)] to second order: its second derivative by S is 2t / (t − S)³."""
    if not twice:
        return 1.0
    return _jaccard(mean, twice) + variance * twice / (twice - mean) ** 3
