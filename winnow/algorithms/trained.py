"""Pruning after training: score, prune, repair, score what is left, and so on; no training."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from winnow import criteria, rng
from winnow.algorithms.at_init import Densities, targets
from winnow.algorithms.layerwise import shares_of, walk_layers
from winnow.algorithms.surgeon import criterion_name, data_of, operate, repair
from winnow.allocation import check_scope
from winnow.criteria.base import Criterion, Forward, Subject
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.moments.kinds import Loss
from winnow.patterns.axes import named_axes
from winnow.patterns.grains import grain_of
from winnow.pruning import (
    Goal,
    LayerCollapse,
    collapse_told,
    newly_collapsed,
    prune_within,
)
from winnow.scoring import check_options, score
from winnow.selection import Params, parameters, prunable, resolve_names, uncompiled


def prune_trained(
    model: nn.Module,
    criterion: str | Criterion,
    *,
    density: Densities | None = None,
    scope: str | None = None,
    pattern: str | None = None,
    block: Sequence[int] | None = None,
    batch: Any = None,
    loader: Iterable[Any] | None = None,
    loss_fn: Loss | None = None,
    forward: Forward | None = None,
    params: Params | None = None,
    ignore: str | Iterable[str] | None = None,
    mask: Mask | None = None,
    least: int = 0,
    rounds: int = 1,
    sequential: bool | None = None,
    seed: int = 0,
    **options: Any,
) -> Mask:
    """Prune a trained model in place, without training, and return its mask.

    What is removed is set to 0. What stays is updated by criteria that say how (a ``surgeon`` or
    ``layerwise`` among their traits): "sparsegpt" and "mlprune"; with the others, e.g. "wanda", it
    is as it was. The forward passes run on ``batch`` or ``loader``; a mapping is the arguments of
    the model, see `criteria.Subject`. Hold the zeros in later training with ``wn.sparsify``::

        mask = wn.prune_trained(model, "sparsegpt", pattern="2:4", loader=loader)

    ``sequential``: layer by layer, in the order in which the model runs them: each is pruned and
    updated before the next sees what comes in. The data is read anew for each layer, up to which
    the model runs; the statistics of one layer are held at a time, and no copy of the parameters.
    Default (None): for criteria that can, wanda and sparsegpt, as their authors' code does, unless
    the scope is "global". False: all layers are scored, then all are pruned; then the surgeon.

    ``density``, ``scope`` (default: the criterion's, row for wanda and layer for sparsegpt),
    ``pattern``, ``block``, ``least``, ``ignore`` (names, patterns, group words) and ``mask`` (what
    it has removed never returns): as in ``wn.prune``. ``rounds``: round k of n keeps ρ^(k/n) as in
    ``wn.prune_at_init``. Everything else and errors as in ``wn.score``. Round k draws from the
    streams (``seed``, "score", k) and (``seed``, "operate", k).

    Warns of LayerCollapse. Raises UserError for bad arguments, and layers whose inputs a criterion
    needs and cannot see, before anything is changed.
    """
    job = _Job(
        model, criteria.get_criterion(criterion) if isinstance(criterion, str) else criterion,
        criterion, _data(batch, loader, loss_fn, forward), options, seed,
    )  # fmt: skip
    check_options(job.function, job.name, options)
    weights = _weights(model, params, ignore)
    before = _before(mask, weights)
    where = scope or criteria.traits_of(job.function).scope
    check_scope(where)
    axes = named_axes(uncompiled(model), weights)
    walks = _walks(job, sequential, where)
    for k, target in enumerate(targets(model, list(weights), density, pattern, rounds), 1):
        grain = grain_of(where, target.get("pattern"), block)
        goal = Goal(target.get("density"), None, where)
        if walks:
            shares = shares_of(weights, goal, grain, before, axes, least)
            found = walk_layers(job.subject(weights, k), job.function, shares, options)
        else:
            scores = job.scores(list(weights), before, k)
            found = prune_within(scores, goal, grain, before, axes, least)
            job.operate(found, k)
        if lost := newly_collapsed(before, found):
            warnings.warn(collapse_told(lost), LayerCollapse, stacklevel=2)
        before = found
    return before


@dataclass(frozen=True)
class _Job:
    """A criterion on a model and its data."""

    model: nn.Module
    function: Criterion
    criterion: str | Criterion
    data: Mapping[str, Any]
    options: Mapping[str, Any]
    seed: int

    @property
    def name(self) -> str:
        return self.criterion if isinstance(self.criterion, str) else criterion_name(self.function)

    def subject(self, weights: Mapping[str, nn.Parameter], k: int) -> Subject:
        data = self.data
        return Subject(
            self.name,
            uncompiled(self.model),
            weights,
            data_of(data.get("batch"), data.get("loader")),
            data.get("loss_fn"),
            None,
            rng.torch_generator(self.seed, "score", k),
            data.get("forward"),
        )

    def scores(self, names: list[str], mask: Mask, k: int) -> Any:
        generator = rng.torch_generator(self.seed, "score", k)
        given = {**self.data, **self.options}
        return score(
            self.model, self.criterion, params=names, mask=mask, generator=generator, **given
        )

    def operate(self, mask: Mask, k: int) -> None:
        weights = parameters(self.model)
        if criteria.traits_of(self.function).surgeon is not None:
            generator = rng.torch_generator(self.seed, "operate", k)
            given = {**self.data, **self.options}
            operate(self.model, mask, self.criterion, generator=generator, **given)
        for name, own in mask.items():
            repair(weights[name], own, None)


def _walks(job: _Job, sequential: bool | None, scope: str) -> bool:
    """Whether it goes layer by layer."""
    if sequential is None:
        return criteria.traits_of(job.function).layerwise is not None and scope != "global"
    if not isinstance(sequential, bool):
        raise UserError(f"sequential is {sequential!r}: give True, False or None")
    return sequential


def _data(
    batch: Any, loader: Iterable[Any] | None, loss_fn: Loss | None, forward: Forward | None
) -> dict[str, Any]:
    given = {"batch": batch, "loader": loader, "loss_fn": loss_fn, "forward": forward}
    return {name: value for name, value in given.items() if value is not None}


def _weights(
    model: nn.Module, params: Params | None, ignore: str | Iterable[str] | None
) -> dict[str, nn.Parameter]:
    weights = prunable(model, params)
    left_out = set() if ignore is None else set(resolve_names(model, ignore, params))
    chosen = {name: weight for name, weight in weights.items() if name not in left_out}
    if not chosen:
        raise UserError(f"nothing to prune: ignore={ignore!r} covers all of {', '.join(weights)}")
    return chosen


def _before(mask: Mask | None, weights: Mapping[str, nn.Parameter]) -> Mask:
    """What is there to prune; UserError for a mask of other weights."""
    if mask is None:
        return Mask.dense(weights)
    if faults := sorted({*mask} ^ {*weights}):
        raise UserError(
            f"the mask is over {len(mask)} weights, and {len(weights)} are to be pruned: "
            f"{faults[0]!r} is in one of them only. Choose with params= and ignore="
        )
    return mask
