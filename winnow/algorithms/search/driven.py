"""Mask search on an engine: from a dense state to a job and a state in search, and to its find.

    job, state = start_search(make_search("jackpot", density=0.1), job, dense, seed=0)
    session = engine.open(job, state)
    session.advance(job.steps)
    plain, ticket = settled(job, session.state())

A state in search holds the frozen weights whole, no mask, and its scores in ``extras``: opened
again with the same job (`resume_search` makes it), it continues bit-identically. Fine-tuning is an
ordinary job from the ticket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow import rng
from winnow.algorithms.search.method import SCORING_BATCH, SearchMethod, SearchStart
from winnow.criteria import get_criterion, traits_of
from winnow.engine.base import Job
from winnow.engine.feed import Feed
from winnow.engine.search import found_network
from winnow.engine.search_session import check_searchable
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.reparametrisation import SCORES
from winnow.scoring import score
from winnow.selection import Params, prunable, resolve_names
from winnow.state import State, load_weights


def start_search(
    method: SearchMethod,
    job: Job,
    state: State,
    *,
    seed: int,
    names: Sequence[str] | None = None,
    batch: tuple[Tensor, Tensor] | None = None,
    mask: Mask | None = None,
) -> tuple[Job, State]:
    """The job as a search, with the optimizer and the schedule that it has, and its first state.

    ``state``: a dense one, whose weights are frozen; its step is kept, its optimizer is not.
    ``names``: the weights that compete, default `competing` of the job's network. ``batch``: images
    as the network takes them and labels, for warm starts that need data; default 256 training
    images, drawn from (``seed``, "scoring batch") and not augmented. ``mask``: what a jackpot
    starts from. UserError for a state with a mask, and for what the method refuses.
    """
    in_search = resume_search(method, job, state, seed=seed, names=names, mask=mask)
    assert in_search.search is not None
    chosen = in_search.search.names

    def scored(criterion: str, options: Mapping[str, Any]) -> Mapping[str, Tensor]:
        model = job.build()
        load_weights(model, state)
        drawn = batch is None and needs_data(criterion)
        data = _scoring_batch(job, seed) if drawn else batch
        return warm_scores(model, criterion, options, chosen, data, F.cross_entropy, seed)

    weights = {name: state.weights[name] for name in chosen}
    scores = method.scores(SearchStart(weights, seed, scored, mask), in_search.search)
    begun = replace(state, slots={}, updates=0, extras={**state.extras, SCORES: scores})
    check_searchable(in_search.search, begun)
    return in_search, begun


def resume_search(
    method: SearchMethod,
    job: Job,
    state: State,
    *,
    seed: int,
    names: Sequence[str] | None = None,
    mask: Mask | None = None,
) -> Job:
    """The search that `start_search` gave, from any of its states; nothing is scored anew."""
    chosen = list(competing(job.build(), method)) if names is None else list(names)
    if strangers := [name for name in chosen if name not in state.weights]:
        raise UserError(f"the network has no weight {strangers[0]!r} to search over")
    weights = {name: state.weights[name] for name in chosen}
    return replace(job, search=method.search(SearchStart(weights, seed, _unscored, mask)))


def settled(job: Job, state: State) -> tuple[Job, State]:
    """The job without its search, and what the search has found; without a search, both as given.

    For whatever reads masks and weights, or trains the weights.
    """
    if job.search is None:
        return job, state
    return replace(job, search=None), found_network(job.search, state)


def competing(
    model: nn.Module,
    method: SearchMethod,
    params: Params | None = None,
    ignore: str | Iterable[str] | None = None,
) -> dict[str, nn.Parameter]:
    """The weights that a search is over: those of ``params`` but for ``ignore``, by default what
    the original leaves dense. UserError if none is left.
    """
    weights = prunable(model, params)
    ignored = set(resolve_names(model, method.protects if ignore is None else ignore, params))
    left = {name: weight for name, weight in weights.items() if name not in ignored}
    if not left:
        raise UserError(
            f"{', '.join(weights)} would stay dense, and nothing is left to {method.name}: "
            "pass ignore=[]"
        )
    return left


def warm_scores(
    model: nn.Module,
    criterion: str,
    options: Mapping[str, Any],
    names: Sequence[str],
    batch: tuple[Any, Any] | None,
    loss_fn: Any,
    seed: int,
) -> Mapping[str, Tensor]:
    """A criterion's scores of a network in training mode, in which SNIP and GraSP score."""
    modes = {module: module.training for module in model.modules()}
    model.train()
    try:
        return score(
            model, criterion, batch=batch, loss_fn=loss_fn, params=list(names),
            generator=rng.torch_generator(seed, "search", "score"), **options,
        )  # fmt: skip
    finally:
        for module, mode in modes.items():
            module.training = mode


def needs_data(criterion: str) -> bool:
    """Whether a criterion scores with examples, or draws."""
    return traits_of(get_criterion(criterion)).examples != "none"


def _unscored(criterion: str, options: Mapping[str, Any]) -> NoReturn:
    raise AssertionError(f"a search is no matter of scores: {criterion}, {options}")


def _scoring_batch(job: Job, seed: int) -> tuple[Tensor, Tensor]:
    feed = Feed(job, torch.device("cpu"))
    order = rng.stream(seed, "scoring batch").permutation(feed.count("train"))[:SCORING_BATCH]
    x, y = feed.splits["train"].take(torch.from_numpy(order))
    return feed.normalised(x), y
