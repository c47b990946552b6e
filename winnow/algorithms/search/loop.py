"""Mask search in plain torch: ``wn.search``."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import torch
from torch import Tensor, nn

from winnow.algorithms.search import make_search
from winnow.algorithms.search.driven import competing, needs_data, warm_scores
from winnow.algorithms.search.method import SearchMethod, SearchStart
from winnow.amounts import option_iterations
from winnow.coverage import coverage_of, warn_if_low
from winnow.criteria.base import Subject
from winnow.engine.learning_rate import learning_rate
from winnow.engine.optimizer import clip, make_optimizer, update
from winnow.engine.search import Searched, mask_of
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.moments.kinds import Loss
from winnow.pruning import LayerCollapse, collapsed
from winnow.reparametrisation import Search
from winnow.scoring import unchanged
from winnow.selection import Params, prunable, uncompiled


def search(
    model: nn.Module,
    method: str,
    *,
    loader: Iterable[Any],
    loss_fn: Loss,
    steps: str,
    density: float | None = None,
    per_epoch: int | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    params: Params | None = None,
    ignore: str | Iterable[str] | None = None,
    mask: Mask | None = None,
    batch: tuple[Any, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> Mask:
    """Find a sub-network without training weights: the mask over the weights as they stand.

    ``method``: edge-popup, supermask or jackpot; ``options`` are those of its class in
    ``winnow.algorithms.search``. ``density``: the kept fraction of the weights that compete;
    the count is exact. ``loader`` of (inputs, targets) is read again and again for ``steps``,
    "3000it", or "30ep" with ``per_epoch`` iterations (default ``len(loader)``). Scores are trained
    by SGD with momentum 0.9; ``lr`` and ``weight_decay`` default to the original's, and so does
    the schedule of the rate. ``params``: what competes, as in ``wn.score``; ``ignore``: names,
    patterns and group words of what stays dense (default what the original leaves dense: the
    classifier, for jackpots). ``mask``: what a jackpot starts from; ``batch``: what SNIP and GraSP
    score for its start (default the loader's first).

    The model's parameters, gradients and modes are bit-identical afterwards. Batch normalisation's
    running statistics are those of the search, unless ``statistics="fixed"``: they belong to the
    mask. A supermask with ``rescale`` belongs to weights that are multiplied, in each layer, by its
    size over its number of ones. To use, or fine-tune, what was found::

        mask = wn.search(model, "jackpot", density=0.1, loader=loader, loss_fn=loss, steps="30ep")
        with wn.sparsify(model, mask, optimizer):
            train(model, optimizer)

    Warns of LayerCollapse, and of LowCoverage where under half of the model's weights compete and
    ``params`` did not say so. Raises UserError for an unknown method or option, a density out of
    range, an empty loader, and a search that diverges; the model is as before then.
    """
    chosen = make_search(method, density, **options)
    model = uncompiled(model)
    weights = competing(model, chosen, params, ignore)
    warn_if_low(coverage_of(model, prunable(model, params)), params, stacklevel=2)
    subject = Subject(f"search {method}", model, weights, loader, loss_fn)
    length = len(loader) if isinstance(loader, Sized) else None
    total = option_iterations(method, "steps", steps, per_epoch or length)
    spec = _optimizer(chosen, lr, weight_decay)

    def scored(criterion: str, of_criterion: Mapping[str, Any]) -> Mapping[str, Tensor]:
        unseen = batch is None and needs_data(criterion)
        data = next(subject.batches(), None) if unseen else batch
        return warm_scores(model, criterion, of_criterion, list(weights), data, loss_fn, seed)

    frozen = {name: weight.detach() for name, weight in weights.items()}
    start = SearchStart(frozen, seed, scored, mask)
    search = chosen.search(start)
    scores = chosen.scores(start, search)
    with unchanged(model):
        found = _train(subject, search, scores, total, spec, chosen.schedule)
        statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(statistics[name])
    if lost := collapsed(found):
        text = f"layer collapse in {method}: no weight is left in {', '.join(lost)}"
        warnings.warn(f"{text}; rates='uniform' keeps some in each", LayerCollapse, stacklevel=2)
    return found


def _train(
    subject: Subject,
    search: Search,
    scores: Mapping[str, Tensor],
    steps: int,
    spec: Mapping[str, Any],
    schedule: Mapping[str, Any],
) -> Mask:
    searched = Searched(subject.model, search, scores)
    searched.train()
    optimizer = make_optimizer(searched.scores, spec)
    effective = list(searched.effective.values())
    for step, (x, y) in enumerate(itertools.islice(_endless(subject), steps)):
        searched.apply(step)
        loss = subject.loss(subject.outputs(x), y)
        by_weights = torch.autograd.grad(loss, effective)
        gradients = searched.chain(by_weights)
        if not math.isfinite(clip(loss, gradients, None)):
            raise UserError(f"the search diverged at iteration {step + 1}: lower lr={spec['lr']:g}")
        rate = learning_rate(step, steps, spec["lr"], schedule)
        update(optimizer, searched.scores.values(), gradients, rate)
    return mask_of(search, {name: score.detach() for name, score in searched.scores.items()})


def _endless(subject: Subject) -> Iterator[tuple[Any, Any]]:
    """The loader's batches, from the front again when they end. UserError when there are none."""
    while True:
        empty = True
        for pair in subject.batches():
            empty = False
            yield pair
        if empty:
            raise UserError(
                "the loader has no batch left: it is empty, or can be read only once; pass a "
                "list or a DataLoader"
            )


def _optimizer(
    method: SearchMethod, lr: float | None, weight_decay: float | None
) -> Mapping[str, Any]:
    given = {"lr": lr, "weight_decay": weight_decay}
    for name, value in given.items():
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UserError(f"{name}={value!r} must be a number from 0 on, e.g. 0.1")
    return {**method.optimizer, **{n: v for n, v in given.items() if v is not None}}
