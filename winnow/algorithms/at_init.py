"""Pruning at initialisation: score, prune, score what is left, and so on; nothing is trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from winnow import criteria, rng
from winnow.allocation import check_density
from winnow.coverage import coverage_of, warn_if_low
from winnow.criteria.base import Criterion, Forward
from winnow.distributed import check_not_sharded
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.moments.kinds import Loss
from winnow.patterns.grains import parse_pattern
from winnow.pruning import LayerCollapse, collapse_told, newly_collapsed, pruned, ties_told
from winnow.scoring import score
from winnow.selection import Params, prunable, spread
from winnow.ties import TiedScores

Densities = float | Mapping[str, float]


def prune_at_init(
    model: nn.Module,
    criterion: str | Criterion,
    *,
    density: Densities | None = None,
    rounds: int | None = None,
    scope: str | None = None,
    batch: tuple[Any, Any] | None = None,
    loader: Iterable[Any] | None = None,
    loss_fn: Loss | None = None,
    params: Params | None = None,
    ignore: str | Iterable[str] | None = None,
    least: int = 0,
    invert: bool = False,
    seed: int = 0,
    forward: Forward | None = None,
    on_round: Callable[[int, Mask], object] | None = None,
    pattern: str | None = None,
    block: Sequence[int] | None = None,
    **options: Any,
) -> Mask:
    """The mask of a criterion at ``density``, in ``rounds`` rounds. The model stays as it is.

    Round k = 1 … n scores the model with the mask of round k − 1 applied and keeps the density
    ρ^(k/n) of all weights, exactly; what is removed never returns. Tanaka et al. 2020 (SynFlow),
    algorithm 1 and section 6; one round is Lee et al. 2019 (SNIP) and Wang et al. 2020 (GraSP).
    ``rounds`` defaults to that of the criterion's ``traits``: 100 for synflow, 1 for the others.

    ``density`` (a number, or names and patterns -> numbers), ``scope``, ``ignore``, ``least``
    (weights that each layer keeps at least) and ``block``: as in ``wn.prune``. So is ``pattern``,
    N:M, in place of a density: round k keeps round(M·(N/M)^(k/n)) of each M. Other arguments and
    ``options``: as in ``wn.score``. Round k draws from the stream (``seed``, "score", k), so a
    shuffled loader gives other batches in each round, the same for the same seed.

    Controls of such masks: ``invert`` keeps the smallest scores; ``mask.shuffled(generator)``
    keeps each layer's count only; ``models.initialise`` with ``draw=1`` trains other weights.
    ``on_round(k, mask)`` sees the mask of each round.

    In a process group every rank scores its own examples, and all get the mask of their mean
    scores (`winnow.distributed`).

    Warns of LayerCollapse, with the layers and the round, of TiedScores in the last round, and of
    LowCoverage where under half of the model's weights compete and ``params`` did not say so.
    Raises UserError for bad arguments, a loader that several rounds cannot read again, and scores
    that are NaN or infinite.
    """
    check_not_sharded(model)
    number = _rounds(criterion, rounds)
    if number > 1 and isinstance(loader, Iterator):
        raise UserError(
            f"{number} rounds of scoring read the loader {number} times, but it can be read only "
            "once: pass list(loader), or a DataLoader"
        )
    names = list(prunable(model, params))
    warn_if_low(coverage_of(model, names), params, stacklevel=2)
    mask = None
    for k, target in enumerate(targets(model, params, density, pattern, number), 1):
        scores = score(
            model, criterion, batch=batch, loader=loader, loss_fn=loss_fn, params=names,
            mask=mask, generator=rng.torch_generator(seed, "score", k), forward=forward, **options,
        )  # fmt: skip
        ranked = scores.negated() if invert else scores
        before = mask
        mask = pruned(
            ranked, **target, scope=scope, mask=mask, ignore=ignore, least=least, block=block
        )
        if lost := newly_collapsed(before, mask):
            told = collapse_told(lost, f" in round {k} of {number}", "; more rounds may too")
            warnings.warn(told, LayerCollapse, stacklevel=2)
        grained = bool(pattern or block)
        ties = ties_told(ranked, before, mask, target.get("density"), scope, grained=grained)
        if ties and k == number:
            warnings.warn(ties, TiedScores, stacklevel=2)
        if on_round is not None:
            on_round(k, mask)
    assert mask is not None, "there is a first round"
    return mask


def targets(
    model: nn.Module,
    params: Params | None,
    density: Densities | None,
    pattern: str | None,
    rounds: int,
) -> list[dict[str, Any]]:
    """What each round keeps, as arguments of ``pruned``: densities or patterns."""
    if pattern is None:
        return [{"density": d} for d in exponential(_exact(model, params, density), rounds)]
    if density is not None:
        raise UserError(f"got density= and pattern={pattern!r}: the pattern says how many stay")
    return [{"pattern": step} for step in parse_pattern(pattern).rounds(rounds)]


def exponential(density: Densities, rounds: int) -> list[Densities]:
    """Densities ρ^(k/n) of rounds k = 1 … n. Tanaka et al. 2020, algorithm 1."""
    if isinstance(density, Mapping):
        each = {name: exponential(own, rounds) for name, own in density.items()}
        return [{name: each[name][k] for name in each} for k in range(rounds)]  # type: ignore[misc]
    return [*(check_density(density) ** (k / rounds) for k in range(1, rounds)), density]


def usual_rounds(criterion: str | Criterion) -> int:
    """In how many rounds a criterion prunes unless told otherwise."""
    function = criteria.get_criterion(criterion) if isinstance(criterion, str) else criterion
    return criteria.traits_of(function).rounds


def _exact(model: nn.Module, params: Params | None, density: Densities | None) -> Densities:
    if isinstance(density, Mapping):
        return spread(prunable(model, params), density)
    check_density(density)
    assert density is not None
    return density


def _rounds(criterion: str | Criterion, rounds: int | None) -> int:
    if rounds is None:
        return usual_rounds(criterion)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise UserError(f"rounds is {rounds!r}: give a whole number from 1 on, e.g. 100")
    return rounds
