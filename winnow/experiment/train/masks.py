"""How a run's mask comes about: weights scored, exactly ``keep`` of them kept, maybe shuffled."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow import criteria, rng
from winnow.algorithms.at_init import Densities, prune_at_init
from winnow.algorithms.in_rounds import prune_in_rounds, prune_rows
from winnow.errors import UserError
from winnow.experiment.runs import Pruning, Run, plain_fields
from winnow.experiment.train.examples import examples, scored_as
from winnow.experiment.train.job import initial_network, make_job, make_network
from winnow.mask import Mask
from winnow.models.initialise import initialise
from winnow.pruning import LayerCollapse, prune_to
from winnow.scoring import score
from winnow.state import State, load_weights
from winnow.structure import Structure, keep_units, random_units, structure_of
from winnow.structure.coupling import UnitKind
from winnow.ties import TiedScores

if TYPE_CHECKING:
    from winnow.experiment.store.store import Found

Parents = Callable[[str], "Found"]
"""Identity → the stored run."""


def state_of(found: Found, step: int | None) -> State:
    """A stored run's state after ``step`` iterations, or (None) at its end."""
    return found.state("final" if step is None else f"step-{step}")


def pruned_for(run: Run, parents: Parents) -> tuple[nn.Module | None, Mask]:
    """The run's mask, and its parent's network as the rounds of pruning have left it.

    The weights that are scored are those of a parent, at its end or on the way, or the run's own
    initial ones (then there is no network). UserError for a criterion that cannot score them.
    """
    pruning = run.pruning
    assert pruning is not None
    _check_source(pruning)
    try:
        network, mask = _pruned(run, pruning, parents)
    except UserError as error:
        raise UserError(f"pruning by {pruning.criterion}: {error}") from error
    if pruning.units is not None:
        return network, mask
    return network, shuffled_for(pruning, mask)


def _pruned(run: Run, pruning: Pruning, parents: Parents) -> tuple[nn.Module | None, Mask]:
    """The mask before it is shuffled, and the network where one is scored that others change."""
    if not pruning.of:
        return None, _at_init(run, pruning)
    if run.start.is_operated or pruning.units is not None:
        return _of_trained(run, pruning, parents)
    asked = (run.data, run.model, replace(pruning, shuffle=None), run.seeds.get("split"))
    key = json.dumps([plain_fields(part) for part in asked], sort_keys=True)
    return None, Mask.unpack(*_bits_of_trained(_Asked(key, run, parents)))


@dataclass(frozen=True)
class _Asked:
    """A mask of a trained network; equal ones have the same ``key``."""

    key: str
    run: Run = field(compare=False)
    parents: Parents = field(compare=False)


@functools.lru_cache(maxsize=16)
def _bits_of_trained(asked: _Asked) -> tuple[Mapping[str, Tensor], Mapping[str, list[int]]]:
    """A packed mask, found once for a ticket and its controls, which come soon after it: those of
    other replicates come in between.
    """
    assert asked.run.pruning is not None
    return _of_trained(asked.run, asked.run.pruning, asked.parents)[1].pack()


def shuffled_for(pruning: Pruning, mask: Mask) -> Mask:
    """The mask, permuted within each layer where the pruning is that of a random control."""
    if pruning.shuffle is None:
        return mask
    return mask.shuffled(rng.torch_generator(pruning.seed, "shuffle", pruning.shuffle))


def _check_source(pruning: Pruning) -> None:
    """UserError if a criterion outside Winnow is not the one that was planned."""
    if pruning.source != criteria.source_of(pruning.criterion):
        raise UserError(
            f"the file of the criterion {pruning.criterion} has changed since this experiment was "
            "planned: run the command again"
        )


def _of_trained(run: Run, pruning: Pruning, parents: Parents) -> tuple[nn.Module, Mask]:
    """The parent's network, as it was or as its rounds of pruning have left it, and the mask."""
    assert pruning.of is not None
    parent = parents(pruning.of)
    state = state_of(parent, pruning.step)
    model = make_network(parent.run)
    load_weights(model, state)
    scored_as(model, pruning.criterion)
    mask = state.mask or Mask.dense({name: state.weights[name] for name in pruning.prunable})
    if pruning.units is not None and pruning.shuffle is not None:
        return model, _random_units(run, pruning, model)
    data, options = _data(run, pruning), _options(run, pruning)
    if run.start.is_operated or pruning.rounds > 1:
        keep = pruning.keep if isinstance(pruning.keep, int) else dict(pruning.keep)
        return model, prune_in_rounds(
            model,
            pruning.criterion,
            keep,
            mask,
            rounds=pruning.rounds,
            least=pruning.least,
            seed=pruning.seed,
            rows=pruning.grain == "row",
            **data,
            **options,
        )
    scores = score(
        model,
        pruning.criterion,
        params=list(pruning.prunable),
        mask=mask,
        generator=rng.torch_generator(pruning.seed, "score", pruning.of),
        **data,
        **options,
    )
    if pruning.units is not None:
        return model, _best_units(run, pruning, model, scores, mask)
    if pruning.grain == "row":
        return model, prune_rows(scores, pruning.keep, mask)
    return model, prune_to(scores, pruning.keep, mask, pruning.least)


def _best_units(
    run: Run, pruning: Pruning, model: nn.Module, scores: Mapping[str, Tensor], mask: Mask
) -> Mask:
    """The mask of the units with the largest scores; layers without units keep what they have."""
    assert pruning.units is not None
    found = keep_units(scores, _structure(run, pruning, model), pruning.units, mask)
    return Mask({name: found.get(name, bits) for name, bits in mask.items()})


def _random_units(run: Run, pruning: Pruning, model: nn.Module) -> Mask:
    """A mask of units drawn at random: the control of a mask of whole units."""
    assert pruning.units is not None
    assert pruning.shuffle is not None
    generator = rng.torch_generator(pruning.seed, "shuffle", pruning.shuffle)
    found = random_units(_structure(run, pruning, model), pruning.units, generator)
    whole = Mask.dense({name: model.get_parameter(name) for name in pruning.prunable})
    return Mask({name: found.get(name, bits) for name, bits in whole.items()})


def _structure(run: Run, pruning: Pruning, model: nn.Module) -> Structure:
    example = torch.zeros(1, *run.data.about.inputs(run.data.size))
    kind: UnitKind = "channel" if pruning.structure == "channel" else "unit"
    return structure_of(model, example, kind)


def _at_init(run: Run, pruning: Pruning) -> Mask:
    """The mask of the initial weights of draw 0, so that other draws are controls of its mask."""
    model = _scored(run, pruning)
    sizes = {name: model.get_parameter(name).numel() for name in pruning.prunable}
    keep = pruning.keep
    density: Densities = (
        keep / sum(sizes.values())
        if isinstance(keep, int)
        else {name: count / sizes[name] for name, count in keep.items()}
    )
    with warnings.catch_warnings():  # the counts of each layer are stored with the run
        warnings.simplefilter("ignore", LayerCollapse)
        warnings.simplefilter("ignore", TiedScores)
        return prune_at_init(
            scored_as(model, pruning.criterion),
            pruning.criterion,
            density=density,
            rounds=pruning.rounds,
            params=list(pruning.prunable),
            seed=pruning.seed,
            invert=pruning.invert,
            least=pruning.least,
            scope=pruning.grain or "global",
            **_data(run, pruning),
            **_options(run, pruning),
        )


def _scored(run: Run, pruning: Pruning) -> nn.Module:
    """The network with the initial weights that are scored: its own, or others of the mask seed."""
    model = initial_network(run, draw=0)
    if pruning.reinit == "none":
        return model
    seed = rng.torch_seed(pruning.seed, "scored")
    if pruning.reinit == "same-distribution":
        return initial_network(run, draw=0, seed=seed)
    drawn = make_network(run)
    initialise(drawn, "glorot-normal", seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:
                parameter.copy_(drawn.get_parameter(name))
    return model


def _options(run: Run, pruning: Pruning) -> dict[str, Any]:
    """What the criterion is given; the shape of an example follows from the data."""
    options = dict(pruning.options)
    known = criteria.traits_of(criteria.get_criterion(pruning.criterion))
    if known.takes_input_shape and options.get("input_shape") is None:
        options["input_shape"] = run.data.about.inputs(run.data.size)
    return options


def _data(run: Run, pruning: Pruning) -> dict[str, Any]:
    """What ``score`` is given to see: the examples that the pruning names, and the loss."""
    if pruning.scoring is None:
        return {}
    loader = examples(make_job(run), pruning.scoring, pruning.seed, pruning.augmented)
    return {"loader": loader, "loss_fn": F.cross_entropy}
