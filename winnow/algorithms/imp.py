"""Iterative magnitude pruning, with any criterion, around the user's own training loop."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from winnow import rng
from winnow.algorithms.attach import Attach
from winnow.algorithms.grained_rounds import Competition
from winnow.algorithms.rounds import rewind_step, start_of
from winnow.coverage import coverage_of, warn_if_low
from winnow.criteria import get_criterion, traits_of
from winnow.criteria.base import Criterion
from winnow.distributed import check_not_sharded
from winnow.errors import UserError
from winnow.mask import Mask, density_total
from winnow.moments.kinds import Loss
from winnow.patterns.axes import named_axes
from winnow.patterns.grains import grain_of
from winnow.pruning import LayerCollapse, collapse_told, newly_collapsed
from winnow.scoring import score
from winnow.selection import Params, expand_rates, parameters, prunable, resolve_names
from winnow.sharding import is_sharded, whole
from winnow.shares import plain_number
from winnow.ticket import Ticket

_StateDict = dict[str, Tensor]
TrainingLoop = Callable[[nn.Module, Attach], object]


def imp(
    make_model: Callable[[], nn.Module],
    train: TrainingLoop,
    *,
    rate: float = 0.2,
    rounds: int = 15,
    rewind: str = "init",
    criterion: str | Criterion = "magnitude",
    scope: str | None = None,
    rates: Mapping[str, float] | None = None,
    params: Params | None = None,
    ignore: str | Iterable[str] | None = None,
    least: int = 0,
    seed: int = 0,
    batch: tuple[Any, Any] | None = None,
    loader: Iterable[Any] | None = None,
    loss_fn: Loss | None = None,
    on_round: Callable[[Ticket], object] | None = None,
    pattern: str | None = None,
    block: Sequence[int] | None = None,
    **options: Any,
) -> Ticket:
    """Train, score, prune, rewind, again and again; the ticket of the last round.

    Frankle & Carbin 2019, section 2; rewinding to a step: Frankle et al. 2019, "Stabilizing the
    Lottery Ticket Hypothesis". ``make_model()`` is called once: there is one initialisation.
    ``train(model, attach)`` is called in each round with a fresh copy; it must call
    ``attach(optimizer)`` before its first step, with each optimizer if it has several, and it
    decides how long it trains. In a process group every rank calls this with the same arguments
    but its own data; ``train`` wraps the model in DistributedDataParallel or shards it
    (``fully_shard``), and scores are averaged over the ranks.

    ``rewind``: what rounds after the first train from: "init", "500it" (weights and buffers
    after 500 optimizer steps of round 0), "none" (continue from the trained weights) or "lr"
    (the same, where a fresh schedule starts again). A few steps in ("20it"), rewinding is late
    resetting. Schedules and optimizers are the loop's own: ``attach.start_step`` is where the
    schedule starts, an optimizer made afresh has forgotten, and one that the loop saved at step k
    can be loaded before it is attached. A loop that trains for fewer steps in rounds before the
    last, by ``attach.round``, prunes after partial training, or fine-tunes.

    ``rate``, ``rounds``: a round removes round(rate · surviving weights). ``scope``: of all weights
    ("global"), of each layer ("layer") or of each output unit ("row"); default the criterion's.
    ``block``: of the blocks, as in ``wn.prune``. ``pattern`` "2:4": a round takes as much of each
    group of 4, one at least, until 2 are left, where rounds end. ``rates``: names, patterns or
    group words -> other rates, with scope "layer" or "row"; ``params``, ``ignore``: what is
    pruned; ``least``: weights that every tensor keeps, as in ``wn.prune``; ``batch``, ``loader``,
    ``loss_fn``, ``options``: for the criterion.

    ``seed`` names the streams of the initialisation, the training and the scores: torch's global
    generator is set from it before ``make_model`` and before each training, so that all rounds
    see the same order of data that is drawn from it, and is put back afterwards. ``on_round``:
    called with each round's ticket, the dense one included.

    Warns of LayerCollapse, with the layers and the round, and of LowCoverage where under half of
    the model's weights compete and ``params`` did not say so; the share stands in the tickets'
    provenance. Raises UserError for bad arguments, a
    loop that never attached or trained for fewer steps than ``rewind`` names, and weights that are
    not finite after a round (parameter and round named).
    """
    with _seeded(seed, "init"):
        model = make_model()
    check_not_sharded(model)
    names = _pruned(model, params, ignore)
    covered = coverage_of(model, names)
    warn_if_low(covered, params, stacklevel=2)
    each = None if rates is None else expand_rates(model, rates, rate, names)
    where = scope or traits_of(_function(criterion)).scope
    weights = {name: parameters(model)[name] for name in names}
    competition = Competition(
        {name: tuple(weight.shape) for name, weight in weights.items()},
        named_axes(model, weights),
        grain_of(where, pattern, block),
        where,
    )
    walk = competition.walk(rounds=rounds, rate=rate, rates=each, rewind=rewind)
    for step in walk:
        competition.check_least(step, least)
    inputs = {"batch": batch, "loader": loader, "loss_fn": loss_fn, **options}
    told = _told(
        criterion=_name(criterion), options=options, rate=plain_number(rate),
        rates=each and {name: plain_number(own) for name, own in each.items()}, rounds=rounds,
        rewind=rewind, scope=where, least=least, seed=seed, coverage=covered.share,
        **_grain_told(pattern, block),
    )  # fmt: skip

    trainer = _Trainer(model, train, rewind, seed)
    mask = Mask.dense(weights)
    ticket = None
    for step in walk:
        if step.keep is not None:
            draws = rng.torch_generator(seed, "score", step.index)
            scores = score(
                trainer.model, criterion, params=names, mask=mask, generator=draws, **inputs
            )
            before, mask = mask, competition.prune(scores, step, mask, least)
            if lost := newly_collapsed(before, mask):
                words = collapse_told(lost, f" in round {step.index} of {rounds}")
                warnings.warn(words, LayerCollapse, stacklevel=2)
        ticket = trainer.round(step.index, step.start, mask, told)
        if on_round is not None:
            on_round(ticket)
    assert ticket is not None, "round 0 always exists"
    return ticket


class _Trainer:
    """Runs the user's loop round after round and carries what later rounds start from.

    ``model``: the model as the last round left it. ``sources``: state_dicts by ``Round.start``.
    """

    def __init__(self, template: nn.Module, train: TrainingLoop, rewind: str, seed: int) -> None:
        self.model = template
        self._template = template
        self._train = train
        self._rewind = rewind
        self._seed = seed
        self._step = rewind_step(rewind) if start_of(rewind) == "rewind" else None
        self._history: list[dict[str, float]] = []
        initial = _state(template)
        self._sources: dict[str, _StateDict] = {"init": initial, "rewind": initial}

    def round(self, index: int, start: str, mask: Mask, told: Mapping[str, Any]) -> Ticket:
        """Train from ``start`` under ``mask``; the ticket with its trained weights."""
        source = self._sources[start]
        self.model = copy.deepcopy(self._template)
        Ticket(mask, source).apply(self.model)
        attach = self._run(index, mask)
        trained = _state(self.model)
        if any(is_sharded(weight) for weight in self.model.parameters()):
            self.model = copy.deepcopy(self._template)  # what scores it needs it in whole
            self.model.load_state_dict(trained)
        _check_finite(trained, index)
        self._sources["parent"] = trained
        if attach.kept is not None:
            self._sources["rewind"] = attach.kept
        total = density_total(mask, self._template)
        self._history.append(
            {"density": mask.density, "density_total": total, "steps": attach.steps}
        )
        provenance = {**told, "round": index, "history": list(self._history)}
        return Ticket(mask, source, trained, provenance)

    def _run(self, index: int, mask: Mask) -> Attach:
        keep_at = self._step if index == 0 else None
        start = self._start_step() if index else 0
        attach = Attach(self.model, mask, index=index, start_step=start, keep_at=keep_at)
        try:
            with _seeded(self._seed, "train"):
                self._train(self.model, attach)
        finally:
            attach.close()
        attach.check(self._rewind)
        return attach

    def _start_step(self) -> int:
        if self._rewind == "none":
            return int(sum(one["steps"] for one in self._history))
        return self._step or 0


@contextmanager
def _seeded(seed: int, stream: str) -> Iterator[None]:
    """Set torch's global generators from the named stream; put them back on exit."""
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(rng.torch_seed(seed, stream))
        yield


def _pruned(
    model: nn.Module, params: Params | None, ignore: str | Iterable[str] | None
) -> list[str]:
    """Names of what competes, in module order."""
    names = list(prunable(model, params))
    exempt = set() if ignore is None else set(resolve_names(model, ignore, params))
    left = [name for name in names if name not in exempt]
    if not left:
        raise UserError(f"nothing to prune: ignore={ignore!r} covers all of {', '.join(names)}")
    return left


def _state(model: nn.Module) -> _StateDict:
    """Of a model that its loop sharded, gathered in whole."""
    return {name: whole(tensor.detach()).clone() for name, tensor in model.state_dict().items()}


def _check_finite(state: _StateDict, index: int) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UserError(
                f"{name!r} is not finite after the training of round {index}: the loss diverged. "
                "Lower the learning rate or clip the gradients."
            )


def _function(criterion: str | Criterion) -> Criterion:
    return get_criterion(criterion) if isinstance(criterion, str) else criterion


def _grain_told(pattern: str | None, block: Sequence[int] | None) -> dict[str, Any]:
    """What a ticket says of a pattern or blocks, where there are some."""
    told = {"pattern": pattern, "block": None if block is None else list(block)}
    return {name: value for name, value in told.items() if value is not None}


def _name(criterion: str | Criterion) -> str:
    if isinstance(criterion, str):
        return criterion
    return getattr(criterion, "__name__", type(criterion).__name__)


def _told(options: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """The settings and versions as plain JSON values, for the tickets' provenance."""
    plain = {k: v if isinstance(v, str | int | float) else repr(v) for k, v in options.items()}
    versions = {"winnow": version("winnow"), "torch": str(torch.__version__)}
    return {"algorithm": "imp", **settings, "options": plain, "versions": versions}
